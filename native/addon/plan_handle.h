// A JavaScript handle on a plan, and the recording that makes it.
#pragma once

#include <napi.h>

namespace convgrad::addon {

/// beginRecording, markRecording, endRecording, abortRecording; and of plans: replay, disposePlan, planBytes and the
/// like.
void export_plan_functions(Napi::Env env, Napi::Object exports);

}  // namespace convgrad::addon
