#include "addon/tensor_handle.h"

#include <condition_variable>
#include <cstring>

#include "addon/bind.h"

namespace convgrad::addon {

namespace {

constexpr napi_type_tag kTensorTag = {0x6d2f3a1c9b7e4d50, 0x8c1e5f7a2b3d4e69};

Napi::Value to_array(Napi::Env env, const Shape& shape) {
  Napi::Array array = Napi::Array::New(env, static_cast<size_t>(shape.rank()));
  for (int axis = 0; axis < shape.rank(); ++axis)
    array.Set(static_cast<uint32_t>(axis), static_cast<double>(shape[axis]));
  return array;
}

DType dtype_of_typed_array(const Napi::TypedArray& array) {
  switch (array.TypedArrayType()) {
    case napi_float32_array:
      return DType::float32;
    case napi_int32_array:
      return DType::int32;
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return DType::uint8;
    default:
      fail("ERR_DTYPE", "tensor: data must be a Float32Array, an Int32Array or a Uint8Array");
  }
}

napi_typedarray_type typed_array_type(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return napi_float32_array;
    case DType::int32:
      return napi_int32_array;
    default:
      return napi_uint8_array;
  }
}

Napi::Value new_typed_array(Napi::Env env, Napi::ArrayBuffer buffer, DType dtype, int64_t count) {
  napi_value array;
  napi_create_typedarray(env, typed_array_type(dtype), static_cast<size_t>(count), buffer, 0, &array);
  return Napi::Value(env, array);
}

/// What was asked for runs, though nobody has looked at it: a benchmark measures what it says. Without memory for it,
/// it does not.
void run_unless_continued(Storage& storage) {
  if (!storage.deferred || storage.deferred->continued) return;
  try {
    storage.device->deferrals().run(storage);
  } catch (const Error&) {
  }
}

/// fromTypedArray(data, shape): copies at once, so that the caller may change or transfer the array afterwards.
Napi::Value from_typed_array(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    check(info[0].IsTypedArray(), "ERR_DTYPE", "tensor: data must be a typed array");
    const Napi::TypedArray data = info[0].As<Napi::TypedArray>();
    const DType dtype = dtype_of_typed_array(data);
    IntList dims;
    read_argument(info[1], "tensor", "shape", dims);
    const Shape shape(dims.begin(), dims.size());
    shape.validate("tensor");
    check(static_cast<int64_t>(data.ElementLength()) == shape.size(), "ERR_SHAPE", "tensor: data has ",
          data.ElementLength(), " elements, but shape ", shape, " wants ", shape.size());
    Environment& environment = Environment::of(info.Env());
    Tensor tensor = Tensor::allocate(environment.device(), dtype, shape, /*idle=*/true);
    const auto* bytes = static_cast<const std::byte*>(data.ArrayBuffer().Data());
    tensor.storage->device->upload(tensor, bytes + data.ByteOffset());
    if (Recorder* recorder = environment.device()->recorder()) recorder->constant(tensor);
    environment.report_memory();
    return make_handle(info.Env(), std::move(tensor));
  });
}

/// Shares the storage under another shape of the same size.
Napi::Value reshape(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const Tensor& tensor = tensor_of(info[0], "reshape", "x");
    IntList dims;
    read_argument(info[1], "reshape", "shape", dims);
    const Shape shape(dims.begin(), dims.size());
    shape.validate("reshape");
    check(shape.size() == tensor.shape.size(), "ERR_SHAPE", "reshape: ", tensor.shape, " has ", tensor.shape.size(),
          " elements, but ", shape, " wants ", shape.size());
    return make_handle(info.Env(), Tensor{tensor.storage, tensor.dtype, shape});
  });
}

Napi::Value dispose(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Tensor& tensor = tensor_of(info[0], "dispose", "tensor");
    if (tensor.storage.use_count() == 1) run_unless_continued(*tensor.storage);
    tensor.storage.reset();
    Environment::of(info.Env()).report_memory();
    return info.Env().Undefined();
  });
}

/// compute(tensor): enqueues what writes the tensor, if that waits for the ops after it.
Napi::Value compute(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    written_tensor_of(info[0], "compute", "tensor");
    return info.Env().Undefined();
  });
}

Napi::Value shape_of(const Napi::CallbackInfo& info) {
  return guarded(info, [&] { return to_array(info.Env(), tensor_of(info[0], "shape", "tensor").shape); });
}

Napi::Value dtype_of_handle(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    return Napi::String::New(info.Env(), name_of(tensor_of(info[0], "dtype", "tensor").dtype));
  });
}

/// How often the storage was written in place: lets autograd tell that a saved tensor has changed.
Napi::Value version_of(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    return Napi::Number::New(info.Env(), static_cast<double>(tensor_of(info[0], "version", "tensor").storage->version));
  });
}

/// Promise of a typed array with the tensor's elements.
Napi::Value data(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Environment& environment = Environment::of(info.Env());
    if (Recorder* recorder = environment.device()->recorder()) recorder->refuse("calls data()");
    const Tensor tensor = written_tensor_of(info[0], "data", "tensor");
    Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), tensor.bytes());
    auto reference = std::make_shared<Napi::ObjectReference>(Napi::Persistent(buffer.As<Napi::Object>()));
    auto deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
    const Napi::Promise promise = deferred->Promise();
    const DType dtype = tensor.dtype;
    const int64_t count = tensor.shape.size();
    // The promise holds the buffer, and nobody else can see or detach it before it is settled.
    tensor.storage->device->download(
        tensor, buffer.Data(),
        environment.on_javascript_thread([reference, deferred, dtype, count](Napi::Env env, const Error* error) {
          if (error) {
            deferred->Reject(Environment::of(env).to_javascript(*error).Value());
          } else {
            deferred->Resolve(new_typed_array(env, reference->Value().As<Napi::ArrayBuffer>(), dtype, count));
          }
          reference->Reset();
        }));
    return promise;
  });
}

/// Like data(), but blocks the thread.
Napi::Value data_sync(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    if (Recorder* recorder = Environment::of(info.Env()).device()->recorder()) recorder->refuse("calls dataSync()");
    const Tensor& tensor = written_tensor_of(info[0], "dataSync", "tensor");
    Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), tensor.bytes());
    tensor.storage->device->download(tensor, buffer.Data(), [](const Error*) {});
    tensor.storage->device->synchronize();
    return new_typed_array(info.Env(), buffer, tensor.dtype, tensor.shape.size());
  });
}

}  // namespace

Napi::Value make_handle(Napi::Env env, Tensor tensor) {
  auto owned = std::make_unique<Tensor>(std::move(tensor));
  napi_value value;
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Tensor*>(data); };
  napi_status status = napi_create_external(env, owned.get(), finalize, nullptr, &value);
  if (status == napi_ok) {
    owned.release();
    status = napi_type_tag_object(env, value, &kTensorTag);
  }
  check(status == napi_ok, "ERR_INTERNAL", "cannot create a tensor handle");
  return Napi::Value(env, value);
}

Tensor& tensor_of(const Napi::Value& value, const char* op, std::string_view operand) {
  bool is_tensor = false;
  if (value.IsExternal()) napi_check_object_type_tag(value.Env(), value, &kTensorTag, &is_tensor);
  check(is_tensor, "ERR_VALUE", op, ": ", operand, " must be a tensor");
  void* data = nullptr;
  napi_get_value_external(value.Env(), value, &data);
  Tensor& tensor = *static_cast<Tensor*>(data);
  check(tensor.storage != nullptr, "ERR_DISPOSED", op, ": ", operand, " is a disposed tensor");
  return tensor;
}

Tensor& readable_tensor_of(const Napi::Value& value, const char* op, std::string_view operand) {
  Tensor& tensor = tensor_of(value, op, operand);
  if (tensor.storage->is_placeholder) {
    const Recorder* recorder = Environment::of(value.Env()).device()->recorder();
    check(recorder && !recorder->runs(), "ERR_STATE", op, ": ", operand,
          " has no elements: it was made while a recorded function was checked, and kept");
  }
  return tensor;
}

Tensor& written_tensor_of(const Napi::Value& value, const char* op, std::string_view operand) {
  Tensor& tensor = readable_tensor_of(value, op, operand);
  tensor.storage->device->deferrals().run(*tensor.storage);
  return tensor;
}

void export_tensor_functions(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("fromTypedArray", from_typed_array);
  add("reshape", reshape);
  add("dispose", dispose);
  add("compute", compute);
  add("shape", shape_of);
  add("dtype", dtype_of_handle);
  add("version", version_of);
  add("data", data);
  add("dataSync", data_sync);
}

}  // namespace convgrad::addon
