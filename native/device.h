// The interface of a backend. Every device is a FIFO stream: commands are enqueued and return at once, run in order,
// and are waited for only where the host reads a result.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "allocator.h"
#include "command.h"
#include "deferred.h"
#include "plan.h"
#include "tensor.h"

namespace convgrad {

class Device : public MemorySource {
 public:
  /// Called on a thread of the device when everything before it has run; `error` is null on success.
  using Done = std::function<void(const Error* error)>;

  virtual const char* name() const = 0;

  void* allocate(size_t bytes, bool idle) { return allocator_.allocate(bytes, idle); }
  void deallocate(void* block) { allocator_.deallocate(block); }
  Allocator& allocator() { return allocator_; }

  /// The functions that run ops here, indexed by op.
  virtual const Kernel& kernel(OpId op) const = 0;

  /// Throws an error that an earlier command left behind, once. Commands between the failing one and this call were
  /// skipped, so that no state was built on a failed result.
  virtual void throw_error() = 0;

  /// Hands a command to the stream. Blocks while the queue is full.
  virtual void enqueue(std::shared_ptr<Command> command) = 0;

  /// Hands recorded commands to the stream, as one entry of it that binds and runs them.
  virtual void replay(std::shared_ptr<Program> program, Binding binding) = 0;

  /// Enqueues a command with the scratch memory that it wants. Freeing is stream-ordered: the memory goes back at once.
  /// The recorder, if there is one, knows the tensors that the command uses.
  void submit(std::shared_ptr<Command> command, Recorder* recorder = nullptr);

  /// What commands are recorded by, while they are.
  Recorder* recorder() const { return recorder_.get(); }
  std::unique_ptr<Recorder> exchange_recorder(std::unique_ptr<Recorder> recorder) {
    return std::exchange(recorder_, std::move(recorder));
  }

  /// Commands that are not in the stream yet.
  Deferrals& deferrals() { return deferrals_; }

  /// Writes an idle tensor (Tensor::allocate with `idle`) from host memory before returning.
  virtual void upload(const Tensor& destination, const void* source) = 0;

  /// Copies the tensor to `destination` after everything that is enqueued now has run, then calls `done`.
  virtual void download(const Tensor& source, void* destination, Done done) = 0;

  /// Tells the device that JavaScript has seen the error that `done` got, so that new commands may run.
  virtual void acknowledge_error() = 0;

  /// Calls `done` after everything that is enqueued now has run.
  virtual void notify(Done done) = 0;

  /// Blocks until every command has run. Throws an error that a command left behind, once.
  virtual void synchronize() = 0;

 protected:
  /// The derived class must trim in its destructor, while it can still free.
  Device() : allocator_(*this) {}
  Allocator allocator_;
  Deferrals deferrals_;
  std::unique_ptr<Recorder> recorder_;
};

}  // namespace convgrad
