// A sequence of commands that is recorded as JavaScript enqueues it, and replayed as one entry of the stream: shapes
// are not inferred again, and all that lives only within the sequence shares one block of planned memory.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "command.h"
#include "ops/op.h"
#include "tensor.h"

namespace convgrad {

/// A stretch of memory that is needed from one command to another, both included.
struct Lifetime {
  size_t bytes;
  int first, last;
  size_t offset = 0;  // what plan_memory finds
};

/// Gives every stretch a place, aligned to 64 bytes, in one block of memory: those whose lifetimes overlap do not.
/// Tries the orders of size (Pisarchyk and Lee, 2020), of duration, and of both. Returns the size of the block.
size_t plan_memory(std::span<Lifetime> lifetimes);

/// What differs from replay to replay. It comes with each of them, so that those that wait in the queue do not disturb
/// each other.
struct Binding {
  std::vector<void*> addresses;   // of the arena, the inputs, the results
  std::vector<PackedUse> packed;  // of the commands that have one, in order; no copies: those that it had
};

/// The commands.
class Program {
 public:
  /// Puts everything where the commands look for it. For the device, right before it runs them.
  void bind(const Binding& binding);
  std::span<const std::shared_ptr<Command>> commands() const { return commands_; }

 private:
  friend class Recorder;
  struct Patch {
    View* view;         // whose address it is, or
    Operands* scratch;  // whose workspace
    size_t slot, offset;
  };
  std::vector<std::shared_ptr<Command>> commands_;
  std::vector<Patch> patches_;
  std::vector<PackedUse*> packed_;
};

/// A program, with what JavaScript's thread knows of it. What was there before the recording is not kept alive.
class Plan {
 public:
  /// Whether the inputs are as many as the recorded ones, of the same dtypes and shapes, and all tensors from outside
  /// that the commands use are still there.
  bool fits(std::span<const Tensor> inputs) const;
  /// Whether a command packs a weight each time that by now would be kept packed: then it is worth a new recording.
  bool is_outdated() const;

  /// Enqueues the program for inputs that fit. Returns the results, in memory of their own. Throws ERR_STATE otherwise.
  std::vector<Tensor> replay(std::span<const Tensor> inputs);

  /// Memory that a replay needs, besides its inputs, its results and what was there before.
  size_t bytes() const { return arena_bytes_; }

  /// Equal for recordings of the same commands on the same tensors.
  uint64_t digest() const { return digest_; }
  /// The same of the commands before Recorder::mark().
  uint64_t marked_digest() const { return marked_digest_; }
  /// Whether the recorded run left tensors behind, besides its results.
  bool leaves_tensors() const { return leaves_tensors_; }

 private:
  friend class Recorder;
  struct Input {
    DType dtype;
    Shape shape;
    uint64_t writes;  // by how much the version goes up with a replay
  };
  struct Outside {
    std::weak_ptr<Storage> storage;
    uint64_t writes;
  };
  /// A command's use of packed copies of an input, of what was there before, or else of what the program makes.
  struct Packed {
    int input = -1;
    std::weak_ptr<Storage> outside;
    uint64_t version;  // when the command was recorded: since the program began, or, of what it makes, since that
    bool keep;
    int user;
  };
  struct Result {
    DType dtype;
    Shape shape;
    int input = -1, fresh = -1;      // an input, or a block of memory that is made for every replay, or
    std::weak_ptr<Storage> outside;  // what was there before
  };

  Tensor result(const Result& result, std::span<const Tensor> inputs,
                std::span<const std::shared_ptr<Storage>> fresh) const;
  PackedUse packed_use(const Packed& recorded, std::span<const Tensor> inputs) const;

  std::shared_ptr<Device> device_;
  std::shared_ptr<Program> program_ = std::make_shared<Program>();
  size_t arena_bytes_ = 0;
  uint64_t digest_ = 0, marked_digest_ = 0;
  bool leaves_tensors_ = false;
  std::vector<Input> inputs_;
  std::vector<Outside> outside_;
  std::vector<std::shared_ptr<Storage>> kept_;  // constants, and what the recorded run left behind
  std::vector<size_t> fresh_bytes_;
  std::vector<Result> results_;
  std::vector<Packed> packed_;
  uint64_t replays_ = 0;
};

/// What a recording is for.
enum class RecordingMode {
  strict,   // a plan; what cannot be replayed is an error where it happens
  lenient,  // a plan, if there can be one
  dry,      // the digest: nothing is executed
  count
};

/// Notes what JavaScript enqueues.
class Recorder {
 public:
  Recorder(std::shared_ptr<Device> device, std::span<const Tensor> inputs, RecordingMode mode);

  bool runs() const { return mode_ != RecordingMode::dry; }

  /// The function does something that a replay would not repeat.
  void refuse(const char* what);

  // Of each command: its operands, outputs and parameters, then itself.
  void operand(const std::shared_ptr<Storage>& storage, bool written);
  void output(const std::shared_ptr<Storage>& storage);
  template <class T>
  void parameter(const T& value) {
    if constexpr (std::is_same_v<T, IntList>) {
      for (int64_t entry : value) mix(static_cast<uint64_t>(entry));
      mix(static_cast<uint64_t>(value.size()));
    } else if constexpr (std::is_floating_point_v<T>) {
      mix(std::bit_cast<uint64_t>(static_cast<double>(value)));
    } else {
      mix(static_cast<uint64_t>(value));
    }
  }
  void add(std::shared_ptr<Command> command);

  /// An output where nothing runs: a shape without memory.
  Tensor placeholder(DType dtype, const Shape& shape);

  /// A tensor that the host has just written.
  void constant(const Tensor& tensor);

  /// What comes after follows from what came before. The first call counts.
  void mark() {
    if (marked_digest_ == 0) marked_digest_ = digest_;
  }
  uint64_t marked_digest() const { return marked_digest_; }

  /// Null where a replay would not do the same, also since memory from outside was freed or a constant overwritten.
  std::unique_ptr<Plan> finish(std::span<const Tensor> results);

 private:
  enum class Kind { input, outside, made, constant };
  /// A block of memory that commands use.
  struct Block {
    Kind kind;
    size_t bytes;
    std::weak_ptr<Storage> storage;
    uint64_t version;  // when it was first seen
    uint64_t writes = 0;
    int first = -1, last = -1;  // commands that use it
    int slot = -1;              // of the addresses of a replay; of inputs and results
  };
  struct Use {
    View* view;
    uint32_t block;
  };

  [[noreturn]] void throw_refusal() const;
  void mix(uint64_t value);
  uint32_t new_block(Kind kind, const std::shared_ptr<Storage>& storage);
  void use(Views& views);
  void use_packed(Operands& operands);
  Plan::Result result_of(const Tensor& tensor, Plan& plan);
  bool place_blocks(Plan& plan);

  std::shared_ptr<Device> device_;
  RecordingMode mode_;
  const char* refused_ = nullptr;
  int commands_ = 0;
  std::unique_ptr<Plan> plan_ = std::make_unique<Plan>();
  std::vector<Block> blocks_;
  std::unordered_map<const void*, uint32_t> block_at_;  // the latest with this address
  std::vector<Use> uses_;
  std::vector<uint32_t> packed_blocks_;  // of the program's uses of packed copies
  uintptr_t next_placeholder_ = 0;
  uint64_t digest_ = 0, marked_digest_ = 0;
};

template <class Op>
void CommandOf<Op>::record(Recorder& recorder) {
  arguments.params.fields([&](const char*, const auto& value) { recorder.parameter(value); });
}

}  // namespace convgrad
