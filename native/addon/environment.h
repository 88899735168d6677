// What the addon keeps for one JavaScript environment (the main thread or a worker): its device, the way back from the
// device's threads, and the error class of the TypeScript side.
#pragma once

#include <napi.h>

#include <deque>
#include <memory>
#include <mutex>

#include "device.h"

namespace convgrad::addon {

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  const std::shared_ptr<Device>& device() { return device_; }

  /// Runs `settle(error)` on the JavaScript thread after everything that is enqueued now; keeps the process alive until
  /// then.
  using Settle = std::function<void(Napi::Env env, const Error* error)>;
  Device::Done on_javascript_thread(Settle settle);

  /// Tells V8 how much native memory its objects hold, so that garbage collection keeps up.
  void report_memory();

  void set_error_class(Napi::Function constructor) { error_class_ = Napi::Persistent(constructor); }
  /// The JavaScript error for a native one, with its code.
  Napi::Error to_javascript(const Error& error);

 private:
  struct Completion {
    Settle settle;
    std::unique_ptr<Error> error;
  };

  void settle_all(Napi::Env env);
  void close();

  Napi::Env env_;
  std::shared_ptr<Device> device_;
  napi_threadsafe_function wake_ = nullptr;
  std::mutex mutex_;
  std::deque<Completion> completions_;  // guarded by mutex_
  int pending_ = 0;                     // completions that JavaScript waits for
  int64_t reported_bytes_ = 0;
  Napi::FunctionReference error_class_;
};

/// Runs `body` and turns native errors into JavaScript ones.
template <class F>
Napi::Value guarded(const Napi::CallbackInfo& info, F&& body) {
  try {
    return body();
  } catch (const Error& error) {
    Environment::of(info.Env()).to_javascript(error).ThrowAsJavaScriptException();
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();
  } catch (const std::bad_alloc&) {
    Environment::of(info.Env()).to_javascript(Error("ERR_MEMORY", "out of memory")).ThrowAsJavaScriptException();
  } catch (const std::exception& error) {
    Environment::of(info.Env()).to_javascript(Error("ERR_INTERNAL", error.what())).ThrowAsJavaScriptException();
  }
  return info.Env().Undefined();
}

}  // namespace convgrad::addon
