// One template turns an op into a JavaScript function: operands first, in order, then the parameters' fields, in order.
// Only what depends on the op's types is in the template; the rest is in bind.cpp, once.
#pragma once

#include <napi.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "addon/environment.h"
#include "addon/tensor_handle.h"
#include "fuse.h"
#include "ops/all.h"

namespace convgrad::addon {

// ---- parameters: an overload of read_argument and of type_name for each type that a field may have ----

void read_argument(const Napi::Value& value, const char* op, const char* field, int64_t& out);
void read_argument(const Napi::Value& value, const char* op, const char* field, int& out);
void read_argument(const Napi::Value& value, const char* op, const char* field, float& out);
void read_argument(const Napi::Value& value, const char* op, const char* field, double& out);
void read_argument(const Napi::Value& value, const char* op, const char* field, bool& out);
void read_argument(const Napi::Value& value, const char* op, const char* field, IntList& out);

/// The position of the given name among `names`. Throws ERR_VALUE with all of them.
size_t read_name(const Napi::Value& value, const char* op, const char* field, EnumNames names);

template <class Enum>
requires std::is_enum_v<Enum>
void read_argument(const Napi::Value& value, const char* op, const char* field, Enum& out) {
  out = static_cast<Enum>(read_name(value, op, field, names_of(Enum{})));
}

inline std::string type_name(int64_t) { return "integer"; }
inline std::string type_name(int) { return "integer"; }
inline std::string type_name(float) { return "number"; }
inline std::string type_name(double) { return "number"; }
inline std::string type_name(bool) { return "boolean"; }
inline std::string type_name(const IntList&) { return "integer[]"; }
std::string union_type(EnumNames names);
template <class Enum>
requires std::is_enum_v<Enum> std::string type_name(Enum) { return union_type(names_of(Enum{})); }

// ---- calling ----

using Names = std::span<const char* const>;

/// One call of an op from JavaScript.
class Call {
 public:
  Call(const Napi::CallbackInfo& info, const char* op, Names operands)
      : info_(info),
        environment_(Environment::of(info.Env())),
        recorder_(environment_.device()->recorder()),
        op_(op),
        operands_(operands) {}

  /// What writes the operands is enqueued, but for operands of an op that may wait with what it continues.
  void read_operands(Views& views, bool may_wait);

  /// A visitor for Params::fields.
  auto field_reader() {
    return [this, position = operands_.size()](const char* field, auto& value) mutable {
      read_argument(info_[position++], op_, field, value);
    };
  }

  /// What an op may keep of a packed operand; `user` tells the ops, and ways of ops, from each other.
  PackedUse packed_use(int operand, int user) { return storages_[static_cast<size_t>(operand)]->packed_use(user); }

  /// Whether the op waits here. Enqueues what writes the operands, but for the one that it continues.
  bool waits(const std::optional<Place>& place, const std::vector<TensorSpec>& specs, Views& views);

  void allocate_outputs(const std::vector<TensorSpec>& specs, Views& views);

  const Kernel& kernel(OpId op) const { return device_->kernel(op); }

  /// Hands the command over and returns the handle of the output, or an array of them for an op that declares several.
  Napi::Value enqueue(std::shared_ptr<Command> command, size_t declared_outputs);

  /// For an op of one output that waits.
  Napi::Value defer(std::shared_ptr<Command> command, const Place& place);

 private:
  View read_tensor(const Napi::Value& value, const OperandSpec& spec);
  template <class Chosen>
  void run_deferred(Views& views, Chosen chosen);

  const Napi::CallbackInfo& info_;
  Environment& environment_;
  Recorder* recorder_;
  const char* op_;
  Names operands_;
  std::shared_ptr<Device> device_;
  std::vector<std::shared_ptr<Storage>> storages_;  // of the operands, lists flattened; null where absent
  std::vector<Storage*> written_;
  std::vector<Tensor> outputs_;
  int base_ = -1;  // the operand that an op which waits continues
};

template <class Op>
Napi::Value call(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    Call call(info, Op::name, Op::operands);
    auto command = std::make_shared<CommandOf<Op>>();
    Args<Op>& args = command->arguments;
    call.read_operands(args.in, may_wait<Op>);
    args.params.fields(call.field_reader());
    const std::vector<TensorSpec> specs = Op::infer(args.params, args.in);
    command->kernel = &call.kernel(id_of<Op>);
    if constexpr (has_packed_operand<Op>) {
      args.packed = call.packed_use(Op::packed_operand, packed_user<Op>(args.params));
    }
    if constexpr (may_wait<Op>) {
      const std::optional<Place> place = place_of(args);
      if (call.waits(place, specs, args.in)) {
        call.allocate_outputs(specs, args.out);
        return call.defer(std::move(command), *place);
      }
    }
    call.allocate_outputs(specs, args.out);
    return call.enqueue(std::move(command), Op::outputs.size());
  });
}

using Fields = std::vector<std::pair<const char*, std::string>>;

/// {name, operands: [...], params: [[name, type]...], outputs: [...]}: what a test holds against lib/native.ts.
Napi::Object make_signature(Napi::Env env, const char* name, Names operands, const Fields& params, Names outputs);

template <class Op>
Napi::Object signature(Napi::Env env) {
  Fields fields;
  typename Op::Params().fields([&](const char* field, auto& value) { fields.emplace_back(field, type_name(value)); });
  return make_signature(env, Op::name, Op::operands, fields, Op::outputs);
}

}  // namespace convgrad::addon
