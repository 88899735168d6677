// The addon: every op of the table as a function, tensors, and what the device says of itself.
#include <napi.h>

#include "addon/bind.h"
#include "addon/environment.h"
#include "addon/plan_handle.h"
#include "addon/tensor_handle.h"
#include "cpu/isa.h"
#include "cpu/peak.h"
#include "cpu/thread_pool.h"

namespace convgrad::addon {

namespace {

/// synchronize(): blocks until the device is idle.
Napi::Value synchronize(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Device& device = *Environment::of(info.Env()).device();
    device.deferrals().run_all();
    device.synchronize();
    return info.Env().Undefined();
  });
}

/// settled(): a promise for everything that is enqueued now.
Napi::Value settled(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Environment& environment = Environment::of(info.Env());
    auto deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
    environment.device()->deferrals().run_all();
    environment.device()->notify(environment.on_javascript_thread([deferred](Napi::Env env, const Error* error) {
      if (error) {
        deferred->Reject(Environment::of(env).to_javascript(*error).Value());
      } else {
        deferred->Resolve(env.Undefined());
      }
    }));
    return deferred->Promise();
  });
}

/// pending(): how many entries of the stream have not run yet.
Napi::Value pending(const Napi::CallbackInfo& info) {
  const Device& device = *Environment::of(info.Env()).device();
  return Napi::Number::New(info.Env(), static_cast<double>(device.submitted() - device.completed()));
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const MemoryStats& stats = Environment::of(info.Env()).device()->allocator().stats();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("bytes", static_cast<double>(stats.in_use));
    object.Set("cachedBytes", static_cast<double>(stats.cached));
    object.Set("peakBytes", static_cast<double>(stats.peak));
    object.Set("blocks", static_cast<double>(stats.blocks));
    object.Set("packedBytes", static_cast<double>(PackedCopies::total_bytes()));
    object.Set("limitBytes", static_cast<double>(stats.limit));
    return object;
  });
}

Napi::Value trim_memory(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Environment::of(info.Env()).device()->allocator().trim();
    return info.Env().Undefined();
  });
}

Napi::Value reset_peak_memory(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Environment::of(info.Env()).device()->allocator().reset_peak();
    return info.Env().Undefined();
  });
}

Napi::Value set_memory_limit(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    int64_t bytes = 0;
    read_argument(info[0], "setMemoryLimit", "bytes", bytes);
    check(bytes >= 0, "ERR_VALUE", "setMemoryLimit: bytes must not be negative, got ", bytes);
    Environment::of(info.Env()).device()->allocator().set_limit(static_cast<size_t>(bytes));
    return info.Env().Undefined();
  });
}

Napi::Value set_threads(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    int count = 0;
    read_argument(info[0], "setThreads", "count", count);
    cpu::set_thread_count(count);
    return info.Env().Undefined();
  });
}

/// randomWords(seedLow, seedHigh, block, count): numbers for the host. The counter's third word is 1, so that they are
/// not the ones that ops on the device draw with the same seed.
Napi::Value random_words(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    int64_t seed_low = 0, seed_high = 0, block = 0, count = 0;
    read_argument(info[0], "randomWords", "seedLow", seed_low);
    read_argument(info[1], "randomWords", "seedHigh", seed_high);
    read_argument(info[2], "randomWords", "block", block);
    read_argument(info[3], "randomWords", "count", count);
    if (Recorder* recorder = Environment::of(info.Env()).device()->recorder())
      recorder->refuse("draws random numbers on the host");
    check(count >= 0 && count < int64_t{1} << 30, "ERR_VALUE", "randomWords: count must be in [0, 2^30), got ", count);
    Napi::Uint32Array words = Napi::Uint32Array::New(info.Env(), static_cast<size_t>(count));
    const cpu::PhiloxPosition at = {
        {static_cast<uint32_t>(seed_low), static_cast<uint32_t>(seed_high)}, static_cast<uint64_t>(block), 1};
    cpu::kernels().random->words(at, words.Data(), count);
    return words;
  });
}

Napi::Value device_info(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    Napi::Object object = Napi::Object::New(env);
    object.Set("device", Environment::of(env).device()->name());
    object.Set("isa", cpu::kernels().isa);
    object.Set("lanes", cpu::kernels().lanes);
    object.Set("threads", cpu::thread_count());
    object.Set("commands", static_cast<double>(Environment::of(env).device()->submitted()));
    Napi::Array isas = Napi::Array::New(env);
    for (const char* name : cpu::available_isas()) isas.Set(isas.Length(), name);
    object.Set("availableIsas", isas);
#if defined(CONVGRAD_WITH_CUDA)
    object.Set("builtWithCuda", true);
#else
    object.Set("builtWithCuda", false);
#endif
    return object;
  });
}

/// measurePeak(milliseconds): float32 operations a second of all threads together, the best of several rounds.
Napi::Value measure_peak(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    double milliseconds = 0;
    read_argument(info[0], "measurePeak", "milliseconds", milliseconds);
    return Napi::Number::New(info.Env(), cpu::measure_peak(milliseconds));
  });
}

Napi::Value set_error_class(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).set_error_class(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  try {
    env.SetInstanceData(new Environment(env));
  } catch (const Error& error) {
    Napi::Error failure = Napi::Error::New(env, error.what());
    failure.Set("code", Napi::String::New(env, error.code()));
    throw failure;
  }
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  Napi::Array signatures = Napi::Array::New(env);
#define CONVGRAD_OP(Op)    \
  add(Op::name, call<Op>); \
  signatures.Set(signatures.Length(), signature<Op>(env));
#include "ops.inc"
#undef CONVGRAD_OP
  exports.Set("signatures", signatures);
  export_tensor_functions(env, exports);
  export_plan_functions(env, exports);
  add("randomWords", random_words);
  add("synchronize", synchronize);
  add("settled", settled);
  add("pending", pending);
  add("memory", memory);
  add("trimMemory", trim_memory);
  add("resetPeakMemory", reset_peak_memory);
  add("setMemoryLimit", set_memory_limit);
  add("setThreads", set_threads);
  add("deviceInfo", device_info);
  add("measurePeak", measure_peak);
  add("setErrorClass", set_error_class);
  return exports;
}

}  // namespace

}  // namespace convgrad::addon

static Napi::Object init_convgrad(Napi::Env env, Napi::Object exports) { return convgrad::addon::init(env, exports); }
NODE_API_MODULE(convgrad, init_convgrad)
