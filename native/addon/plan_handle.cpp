#include "addon/plan_handle.h"

#include "addon/bind.h"
#include "plan.h"

namespace convgrad::addon {

namespace {

constexpr napi_type_tag kPlanTag = {0x41f07c6de2a94b13, 0x9b5d02e86c714fa8};
constexpr const char* kModes[] = {"strict", "lenient", "dry"};
static_assert(std::size(kModes) == static_cast<size_t>(RecordingMode::count));

using PlanHandle = std::unique_ptr<Plan>;

Napi::Value make_plan_handle(Napi::Env env, std::unique_ptr<Plan> plan) {
  auto owned = std::make_unique<PlanHandle>(std::move(plan));
  const Napi::Value value =
      Napi::External<PlanHandle>::New(env, owned.get(), [](Napi::Env, PlanHandle* handle) { delete handle; });
  owned.release();
  napi_type_tag_object(env, value, &kPlanTag);
  return value;
}

PlanHandle& handle_of(const Napi::Value& value) {
  bool is_plan = false;
  if (value.IsExternal()) napi_check_object_type_tag(value.Env(), value, &kPlanTag, &is_plan);
  check(is_plan, "ERR_VALUE", "wants a plan");
  return *value.As<Napi::External<PlanHandle>>().Data();
}

Plan& plan_of(const Napi::Value& value) {
  PlanHandle& handle = handle_of(value);
  check(handle != nullptr, "ERR_DISPOSED", "this plan was disposed");
  return *handle;
}

std::vector<Tensor> tensors_of(const Napi::Value& value, const char* function, const char* what) {
  check(value.IsArray(), "ERR_VALUE", function, ": ", what, " must be an array of tensors");
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<Tensor> tensors;
  for (uint32_t i = 0; i < array.Length(); ++i) tensors.push_back(written_tensor_of(array.Get(i), function, what));
  return tensors;
}

Recorder& recorder_of(const Device& device, const char* function) {
  check(device.recorder(), "ERR_STATE", function, ": nothing is being recorded");
  return *device.recorder();
}

Napi::Value begin_recording(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const std::shared_ptr<Device>& device = Environment::of(info.Env()).device();
    check(!device->recorder(), "ERR_STATE", "beginRecording: something is being recorded already");
    const auto inputs = tensors_of(info[0], "beginRecording", "inputs");
    const auto mode = static_cast<RecordingMode>(read_name(info[1], "beginRecording", "mode", kModes));
    device->deferrals().close();
    device->exchange_recorder(std::make_unique<Recorder>(device, inputs, mode));
    return info.Env().Undefined();
  });
}

Napi::Value mark_recording(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Device& device = *Environment::of(info.Env()).device();
    Recorder& recorder = recorder_of(device, "markRecording");
    device.deferrals().run_all();
    recorder.mark();
    return info.Env().Undefined();
  });
}

/// endRecording(results): the plan, or null where there can be none.
Napi::Value end_recording(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Device& device = *Environment::of(info.Env()).device();
    recorder_of(device, "endRecording");
    const auto results = tensors_of(info[0], "endRecording", "results");
    device.deferrals().run_all();
    auto plan = device.exchange_recorder(nullptr)->finish(results);
    return plan ? make_plan_handle(info.Env(), std::move(plan)) : info.Env().Null();
  });
}

/// abortRecording(): as if it had not been begun. Without a recording it does nothing.
Napi::Value abort_recording(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).device()->exchange_recorder(nullptr);
  return info.Env().Undefined();
}

/// endDryRun(plan): whether all until the mark was as in the recording of the plan.
Napi::Value end_dry_run(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Device& device = *Environment::of(info.Env()).device();
    Recorder& recorder = recorder_of(device, "endDryRun");
    recorder.mark();
    const bool same = recorder.marked_digest() == plan_of(info[0]).marked_digest();
    device.exchange_recorder(nullptr);
    return Napi::Boolean::New(info.Env(), same);
  });
}

/// replay(plan, inputs): the results, or null when the plan is outdated.
Napi::Value replay(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Plan& plan = plan_of(info[0]);
    if (plan.is_outdated()) return info.Env().Null();
    auto results = plan.replay(tensors_of(info[1], "replay", "inputs"));
    Environment::of(info.Env()).report_memory();
    Napi::Array array = Napi::Array::New(info.Env(), results.size());
    for (uint32_t i = 0; i < results.size(); ++i) array.Set(i, make_handle(info.Env(), std::move(results[i])));
    return array;
  });
}

Napi::Value dispose_plan(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    handle_of(info[0]).reset();
    return info.Env().Undefined();
  });
}

Napi::Value plan_bytes(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    return Napi::Number::New(info.Env(), static_cast<double>(plan_of(info[0]).bytes()));
  });
}

/// planFits(plan, inputs): whether the plan can be replayed for them.
Napi::Value plan_fits(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    return Napi::Boolean::New(info.Env(), plan_of(info[0]).fits(tensors_of(info[1], "planFits", "inputs")));
  });
}

/// samePlan(a, b): whether the same commands on the same tensors were recorded.
Napi::Value same_plan(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    return Napi::Boolean::New(info.Env(), plan_of(info[0]).digest() == plan_of(info[1]).digest());
  });
}

Napi::Value leaves_tensors(const Napi::CallbackInfo& info) {
  return guarded(info,
                 [&]() -> Napi::Value { return Napi::Boolean::New(info.Env(), plan_of(info[0]).leaves_tensors()); });
}

}  // namespace

void export_plan_functions(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("beginRecording", begin_recording);
  add("markRecording", mark_recording);
  add("endRecording", end_recording);
  add("abortRecording", abort_recording);
  add("endDryRun", end_dry_run);
  add("replay", replay);
  add("disposePlan", dispose_plan);
  add("planBytes", plan_bytes);
  add("planFits", plan_fits);
  add("samePlan", same_plan);
  add("leavesTensors", leaves_tensors);
}

}  // namespace convgrad::addon
