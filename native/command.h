// An op as a recorded command: parameters, views of operands and outputs, scratch memory, and the function that runs
// it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tensor.h"

namespace convgrad {

/// The values of an op's operands or outputs, in the order the op names them. A variadic operand has many views.
class Views {
 public:
  void add(const View& view) {
    views_.push_back(view);
    ends_.push_back(static_cast<uint32_t>(views_.size()));
  }
  void add_list(std::span<const View> views) {
    views_.insert(views_.end(), views.begin(), views.end());
    ends_.push_back(static_cast<uint32_t>(views_.size()));
  }

  int count() const { return static_cast<int>(ends_.size()); }
  /// The i-th operand (the first view of a variadic one).
  const View& operator[](int i) const { return views_[begin(i)]; }
  /// All views of the i-th operand.
  std::span<const View> list(int i) const { return {views_.data() + begin(i), views_.data() + ends_[i]}; }
  std::span<View> list(int i) { return {views_.data() + begin(i), views_.data() + ends_[i]}; }
  /// Whether the optional operand i was given.
  bool has(int i) const { return begin(i) < ends_[i] && views_[begin(i)]; }

  /// All views one after the other, lists included.
  std::span<View> flat() { return views_; }
  /// Replaces the i-th operand, which is not a variadic one.
  void set(int i, const View& view) { views_[begin(i)] = view; }

 private:
  uint32_t begin(int i) const { return i ? ends_[i - 1] : 0; }
  std::vector<View> views_;
  std::vector<uint32_t> ends_;
};

/// The memory that a command works on.
struct Operands {
  Views in;
  Views out;
  PackedUse packed;  // of the operand that the op names as `packed_operand`
  std::byte* workspace = nullptr;
  size_t workspace_bytes = 0;
};

/// What run<Op> gets.
template <class Op>
struct Args : Operands {
  typename Op::Params params;
};

enum class OpId : uint16_t;
class Recorder;

/// A device's implementation of an op: run and workspace take a `const Args<Op>*`.
struct Kernel {
  void (*run)(const void* args);
  size_t (*workspace)(const void* args);
};

struct Command {
  explicit Command(const char* op_name) : op_name(op_name) {}
  virtual ~Command() = default;
  virtual const void* args() const = 0;
  virtual Operands& operands() = 0;
  virtual std::shared_ptr<Command> clone() const = 0;
  /// Tells the recorder the parameters.
  virtual void record(Recorder& recorder) = 0;

  const char* op_name;
  const Kernel* kernel = nullptr;
};

template <class Op>
struct CommandOf final : Command {
  CommandOf() : Command(Op::name) {}
  const void* args() const override { return &arguments; }
  Operands& operands() override { return arguments; }
  std::shared_ptr<Command> clone() const override { return std::make_shared<CommandOf>(*this); }
  void record(Recorder& recorder) override;
  Args<Op> arguments;
};

}  // namespace convgrad
