// One template turns an op into a JavaScript function: operands first, in order, then the parameters' fields, in order.
// Only what depends on the op's types is in the template; the rest is in bind.cpp, once.
#pragma once

#include <napi.h>

#include <span>
#include <string>
#include <vector>

#include "addon/environment.h"
#include "addon/tensor_handle.h"
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
        recorder_(environment_.recorder()),
        op_(op),
        operands_(operands) {}

  void read_operands(Views& views);

  /// A visitor for Params::fields.
  auto field_reader() {
    return [this, position = operands_.size()](const char* field, auto& value) mutable {
      read_argument(info_[position++], op_, field, value);
    };
  }

  Recorder* recorder() const { return recorder_; }

  /// What an op may keep of a packed operand; `user` tells the ops, and ways of ops, from each other.
  PackedUse packed_use(int operand, int user);

  void allocate_outputs(const std::vector<TensorSpec>& specs, Views& views);

  /// Gives the command its kernel and scratch memory, and hands it over. Freeing is stream-ordered: the scratch block
  /// goes back when the call ends. Returns the handle of the output, or an array of them for an op that declares
  /// several.
  Napi::Value enqueue(std::shared_ptr<Command> command, OpId op, size_t declared_outputs);

 private:
  View read_tensor(const Napi::Value& value, const OperandSpec& spec);

  const Napi::CallbackInfo& info_;
  Environment& environment_;
  Recorder* recorder_;
  const char* op_;
  Names operands_;
  std::shared_ptr<Device> device_;
  std::vector<Storage*> written_;
  std::vector<Tensor> outputs_;
  std::unique_ptr<Storage> workspace_;
};

/// An op that packs the same operand in more ways than one tells them apart by its parameters' packed_variant(), 0
/// or 1.
template <class Op>
int packed_user(const typename Op::Params& params) {
  int variant = 0;
  if constexpr (requires { params.packed_variant(); }) variant = params.packed_variant();
  return 2 * static_cast<int>(id_of<Op>) + variant;
}

template <class Op>
Napi::Value call(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    Call call(info, Op::name, Op::operands);
    auto command = std::make_shared<CommandOf<Op>>();
    Args<Op>& args = command->arguments;
    call.read_operands(args.in);
    args.params.fields(call.field_reader());
    call.allocate_outputs(Op::infer(args.params, args.in), args.out);
    if constexpr (has_packed_operand<Op>) {
      args.packed = call.packed_use(Op::packed_operand, packed_user<Op>(args.params));
    }
    if (Recorder* recorder = call.recorder()) {
      args.params.fields([recorder](const char*, const auto& value) { recorder->parameter(value); });
    }
    return call.enqueue(std::move(command), id_of<Op>, Op::outputs.size());
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
