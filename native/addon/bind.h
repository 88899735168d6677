// One template turns an op into a JavaScript function: operands first, in order, then the parameters' fields, in order.
#pragma once

#include <napi.h>

#include <cmath>
#include <string>
#include <vector>

#include "addon/environment.h"
#include "addon/tensor_handle.h"
#include "ops/all.h"

namespace convgrad::addon {

// ---- parameters: one overload of read_argument and type_name for each type a field may have ----

inline double read_number(const Napi::Value& value, const char* op, const char* field) {
  check(value.IsNumber(), "ERR_VALUE", op, ": ", field, " must be a number");
  return value.As<Napi::Number>().DoubleValue();
}

inline int64_t read_integer(const Napi::Value& value, const char* op, const char* field) {
  constexpr double kMaxSafeInteger = 9007199254740991.0;
  const double number = read_number(value, op, field);
  check(std::trunc(number) == number && std::abs(number) <= kMaxSafeInteger, "ERR_VALUE", op, ": ", field,
        " must be an integer, got ", number);
  return static_cast<int64_t>(number);
}

inline void read_argument(const Napi::Value& value, const char* op, const char* field, int64_t& out) {
  out = read_integer(value, op, field);
}
inline void read_argument(const Napi::Value& value, const char* op, const char* field, int& out) {
  const int64_t number = read_integer(value, op, field);
  check(number >= INT32_MIN && number <= INT32_MAX, "ERR_VALUE", op, ": ", field, " is out of range: ", number);
  out = static_cast<int>(number);
}
inline void read_argument(const Napi::Value& value, const char* op, const char* field, float& out) {
  out = static_cast<float>(read_number(value, op, field));
}
inline void read_argument(const Napi::Value& value, const char* op, const char* field, double& out) {
  out = read_number(value, op, field);
}
inline void read_argument(const Napi::Value& value, const char* op, const char* field, bool& out) {
  check(value.IsBoolean(), "ERR_VALUE", op, ": ", field, " must be a boolean");
  out = value.As<Napi::Boolean>();
}
inline void read_argument(const Napi::Value& value, const char* op, const char* field, IntList& out) {
  check(value.IsArray(), "ERR_VALUE", op, ": ", field, " must be an array of integers");
  const Napi::Array array = value.As<Napi::Array>();
  check(array.Length() <= kMaxRank, "ERR_VALUE", op, ": ", field, " has ", array.Length(), " entries, at most ",
        kMaxRank, " are allowed");
  out.clear();
  for (uint32_t i = 0; i < array.Length(); ++i) out.push_back(read_integer(array.Get(i), op, field));
}
template <class Enum>
requires std::is_enum_v<Enum>
void read_argument(const Napi::Value& value, const char* op, const char* field, Enum& out) {
  const EnumNames names = names_of(Enum{});
  const std::string given = value.IsString() ? value.As<Napi::String>().Utf8Value() : "a value that is no string";
  for (size_t i = 0; i < names.size(); ++i) {
    if (given == names[i]) {
      out = static_cast<Enum>(i);
      return;
    }
  }
  std::string wanted;
  for (const char* name : names) wanted += (wanted.empty() ? "'" : ", '") + std::string(name) + "'";
  fail("ERR_VALUE", op, ": ", field, " must be one of ", wanted, ", got ", given);
}

inline std::string type_name(int64_t) { return "integer"; }
inline std::string type_name(int) { return "integer"; }
inline std::string type_name(float) { return "number"; }
inline std::string type_name(double) { return "number"; }
inline std::string type_name(bool) { return "boolean"; }
inline std::string type_name(const IntList&) { return "integer[]"; }
template <class Enum>
requires std::is_enum_v<Enum> std::string type_name(Enum) {
  std::string union_type;
  for (const char* name : names_of(Enum{})) union_type += (union_type.empty() ? "'" : " | '") + std::string(name) + "'";
  return union_type;
}

// ---- calling ----

template <class Op>
class Call {
 public:
  explicit Call(const Napi::CallbackInfo& info) : info_(info), environment_(Environment::of(info.Env())) {}

  Napi::Value run() {
    auto command = std::make_unique<CommandOf<Op>>();
    Args<Op>& args = command->arguments;
    read_operands(args.in);
    read_params(args.params);
    std::vector<Tensor> outputs;
    for (const TensorSpec& spec : Op::infer(args.params, args.in)) {
      outputs.push_back(Tensor::allocate(device_, spec.dtype, spec.shape));
      args.out.add(outputs.back());
    }
    const Kernel& kernel = device_->kernel(id_of<Op>);
    command->run = kernel.run;
    // Freeing is stream-ordered: the scratch block goes back as soon as the command is in the queue.
    std::unique_ptr<Storage> workspace;
    if (const size_t bytes = kernel.workspace(&args)) {
      workspace = std::make_unique<Storage>(device_, bytes, /*idle=*/false);
      args.workspace = static_cast<std::byte*>(workspace->data);
      args.workspace_bytes = bytes;
    }
    device_->enqueue(std::move(command));
    for (Storage* storage : written_) ++storage->version;
    environment_.report_memory();
    return to_javascript(std::move(outputs));
  }

 private:
  void read_operands(Views& views) {
    for (size_t i = 0; i < Op::operands.size(); ++i) {
      const OperandSpec spec(Op::operands[i]);
      const Napi::Value value = info_[i];
      if (spec.variadic) {
        check(value.IsArray(), "ERR_VALUE", Op::name, ": ", spec.name, " must be an array of tensors");
        const Napi::Array array = value.As<Napi::Array>();
        std::vector<View> list;
        for (uint32_t j = 0; j < array.Length(); ++j) list.push_back(read_tensor(array.Get(j), spec));
        views.add_list(list);
      } else if (spec.optional && (value.IsUndefined() || value.IsNull())) {
        views.add(View{});
      } else {
        views.add(read_tensor(value, spec));
      }
    }
    if (!device_) device_ = environment_.device();
  }

  View read_tensor(const Napi::Value& value, const OperandSpec& spec) {
    const Tensor& tensor = tensor_of(value, Op::name, spec.name);
    if (!device_) device_ = tensor.storage->device;
    check(device_ == tensor.storage->device, "ERR_DEVICE", Op::name, ": ", spec.name, " is on ",
          tensor.storage->device->name(), ", the other operands are on ", device_->name());
    if (spec.written) written_.push_back(tensor.storage.get());
    return tensor;
  }

  void read_params(typename Op::Params& params) {
    size_t position = Op::operands.size();
    params.fields([&](const char* field, auto& value) { read_argument(info_[position++], Op::name, field, value); });
  }

  Napi::Value to_javascript(std::vector<Tensor> outputs) {
    const Napi::Env env = info_.Env();
    if constexpr (Op::outputs.size() == 0) return env.Undefined();
    if constexpr (Op::outputs.size() == 1) return make_handle(env, std::move(outputs[0]));
    Napi::Array array = Napi::Array::New(env, outputs.size());
    for (uint32_t i = 0; i < outputs.size(); ++i) array.Set(i, make_handle(env, std::move(outputs[i])));
    return array;
  }

  const Napi::CallbackInfo& info_;
  Environment& environment_;
  std::shared_ptr<Device> device_;
  std::vector<Storage*> written_;
};

template <class Op>
Napi::Value call(const Napi::CallbackInfo& info) {
  return guarded(info, [&] { return Call<Op>(info).run(); });
}

/// {name, operands: [...], params: [[name, type]...], outputs: [...]}: what a test holds against lib/native.ts.
template <class Op>
Napi::Object signature(Napi::Env env) {
  const auto names = [&](const auto& list) {
    Napi::Array array = Napi::Array::New(env, list.size());
    for (uint32_t i = 0; i < list.size(); ++i) array.Set(i, Napi::String::New(env, list[i]));
    return array;
  };
  Napi::Array params = Napi::Array::New(env);
  typename Op::Params defaults;
  defaults.fields([&](const char* field, auto& value) {
    Napi::Array pair = Napi::Array::New(env, 2);
    pair.Set(0u, Napi::String::New(env, field));
    pair.Set(1u, Napi::String::New(env, type_name(value)));
    params.Set(params.Length(), pair);
  });
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", Napi::String::New(env, Op::name));
  object.Set("operands", names(Op::operands));
  object.Set("params", params);
  object.Set("outputs", names(Op::outputs));
  return object;
}

}  // namespace convgrad::addon
