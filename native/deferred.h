// Commands that wait for the op after them. A convolution or a product has an epilogue, y = activation(product + bias +
// residual), and a batch norm with known statistics is a matter of its weight and bias: relu(bn(conv(x)) + identity),
// four calls, is one command, if the first three have not run when the fourth is made. So these ops are checked, get
// their output, and wait. They run, all of them as one command, as soon as somebody reads the last output, writes what
// they read, or waits for the device. What stands between them is computed only where it is itself read.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "command.h"
#include "tensor.h"

namespace convgrad {

/// Where an op stands in y = activation(normalize(product + bias) + residual).
enum class Stage : uint8_t { product, normalize, add, activate };

/// A set of stages.
class Stages {
 public:
  Stages() = default;
  Stages(std::initializer_list<Stage> stages) {
    for (Stage stage : stages) bits_ |= 1u << static_cast<unsigned>(stage);
  }
  bool has(Stage stage) const { return bits_ >> static_cast<unsigned>(stage) & 1; }
  /// Those of this set that come later.
  Stages after(Stage stage) const {
    Stages later;
    const unsigned shift = static_cast<unsigned>(stage) + 1;
    later.bits_ = bits_ >> shift << shift;
    return later;
  }

 private:
  unsigned bits_ = 0;
};

/// What will write the storage of an output.
struct Deferred {
  /// As it was asked for: a step reads the output of the op before.
  std::shared_ptr<Command> command;
  std::vector<std::shared_ptr<Storage>> operands;  // null where absent

  Stage stage = Stage::product;
  int base = -1;  // the operand that a step continues
  Stages next;    // what may follow
  /// Makes the step a part of a command that computes the ops before it.
  void (*fuse)(Command& command, const Deferred& product, const Deferred& step) = nullptr;

  bool continued = false;  // by an op that waits or has waited
  bool inlined = false;    // has run as a part of another command
  uint64_t serial = 0;     // by the order of the calls
};

/// The storages of a device whose commands wait.
class Deferrals {
 public:
  void add(Storage& output, std::unique_ptr<Deferred> deferred);
  void remove(const Storage& storage);

  /// An op that waits is about to continue the one that waits for this storage, whose memory may never be needed.
  void give_up_memory(Storage& storage);

  /// Enqueues what writes this storage, if that waits.
  void run(Storage& storage);
  /// Enqueues all that wait, but for those that others continue.
  void run_all();
  /// What waits now is not continued by what comes, which is recorded, and is not recorded itself.
  void close();
  /// Enqueues what reads this storage: it is about to be written.
  void run_readers(const Storage& storage);

 private:
  void drop(Storage& storage);
  template <class Chosen>
  void run_where(Chosen chosen);

  std::vector<Storage*> waiting_;
  uint64_t serial_ = 0, closed_ = 0;
};

}  // namespace convgrad
