#include "addon/environment.h"

#include "cpu/cpu_device.h"

namespace convgrad::addon {

Environment::Environment(Napi::Env env) : env_(env), device_(cpu::make_device()) {
  napi_value name;
  napi_create_string_utf8(env, "convgrad", NAPI_AUTO_LENGTH, &name);
  const auto call = [](napi_env raw_env, napi_value, void* context, void*) {
    if (raw_env) static_cast<Environment*>(context)->settle_all(Napi::Env(raw_env));
  };
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, call, &wake_);
  check(status == napi_ok, "ERR_INTERNAL", "cannot create a thread-safe function");
  napi_unref_threadsafe_function(env, wake_);
  // After the thread-safe function: hooks run in reverse order, and the device must be quiet before it goes.
  napi_add_env_cleanup_hook(
      env, [](void* self) { static_cast<Environment*>(self)->close(); }, this);
}

Environment::~Environment() = default;

/// The device's thread may call `wake_` until the queue is empty, so drain first. Tensors that JavaScript still holds
/// keep the device itself alive until they are finalized.
void Environment::close() {
  device_->drain();
  completions_.clear();  // their references must go while the environment still stands
  napi_release_threadsafe_function(wake_, napi_tsfn_abort);
  wake_ = nullptr;
}

Device::Done Environment::on_javascript_thread(Settle settle) {
  if (pending_++ == 0) napi_ref_threadsafe_function(env_, wake_);
  return [this, settle = std::move(settle)](const Error* error) {
    {
      std::lock_guard lock(mutex_);
      completions_.push_back({settle, error ? std::make_unique<Error>(*error) : nullptr});
    }
    napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
  };
}

void Environment::settle_all(Napi::Env env) {
  for (;;) {
    Completion completion;
    {
      std::lock_guard lock(mutex_);
      if (completions_.empty()) return;
      completion = std::move(completions_.front());
      completions_.pop_front();
    }
    if (--pending_ == 0) napi_unref_threadsafe_function(env, wake_);
    if (completion.error) device_->acknowledge_error();
    Napi::HandleScope scope(env);
    // An exception that leaves this callback aborts the process; resolving throws only while the environment is shut
    // down.
    try {
      completion.settle(env, completion.error.get());
    } catch (const std::exception&) {
    }
  }
}

void Environment::report_memory() {
  constexpr int64_t kStep = 1 << 20;  // each report costs a call into V8
  const int64_t bytes = static_cast<int64_t>(device_->allocator().stats().in_use);
  const int64_t change = bytes - reported_bytes_;
  if (change > -kStep && change < kStep) return;
  Napi::MemoryManagement::AdjustExternalMemory(env_, change);
  reported_bytes_ = bytes;
}

Napi::Error Environment::to_javascript(const Error& error) {
  if (error_class_.IsEmpty()) {
    Napi::Error plain = Napi::Error::New(env_, error.what());
    plain.Set("code", Napi::String::New(env_, error.code()));
    return plain;
  }
  const Napi::Object object =
      error_class_.New({Napi::String::New(env_, error.code()), Napi::String::New(env_, error.what())});
  return Napi::Error(env_, object);
}

}  // namespace convgrad::addon
