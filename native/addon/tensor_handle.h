// A JavaScript handle on a tensor: an external value whose finalizer is the safety net for what was not disposed.
#pragma once

#include <napi.h>

#include "addon/environment.h"
#include "tensor.h"

namespace convgrad::addon {

Napi::Value make_handle(Napi::Env env, Tensor tensor);

/// The tensor behind a handle. Throws ERR_VALUE for anything else and ERR_DISPOSED for a disposed one; `what` names the
/// op and the operand in the message.
Tensor& tensor_of(const Napi::Value& value, const char* op, std::string_view operand);

/// The same where its elements are wanted, which placeholders do not have.
Tensor& readable_tensor_of(const Napi::Value& value, const char* op, std::string_view operand);

/// The same, with what writes it in the stream.
Tensor& written_tensor_of(const Napi::Value& value, const char* op, std::string_view operand);

/// dispose, shape, dtype, id and the like, and creation and reading of tensors.
void export_tensor_functions(Napi::Env env, Napi::Object exports);

}  // namespace convgrad::addon
