#include "cpu/cpu_device.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/spin.h"

namespace convgrad::cpu {

namespace {

constexpr size_t kQueueCapacity = 1024;
constexpr size_t kAlignment = 64;

template <class Op>
constexpr Kernel kernel_of() {
  Kernel kernel{};
  kernel.run = [](const void* args) { run<Op>(*static_cast<const Args<Op>*>(args)); };
  kernel.workspace = [](const void* args) -> size_t {
    if constexpr (has_workspace<Op>) return workspace<Op>(*static_cast<const Args<Op>*>(args));
    return static_cast<void>(args), 0;
  };
  return kernel;
}

constexpr Kernel kKernels[kOpCount] = {
#define CONVGRAD_OP(Op) kernel_of<Op>(),
#include "ops.inc"
#undef CONVGRAD_OP
};

/// An entry of the stream: a command, or something to do when all before it has run.
struct Entry {
  std::shared_ptr<Command> command;
  std::function<void(const Error*)> action;
};

class CpuDevice final : public Device {
 public:
  CpuDevice() {
    kernels();  // a wrong CONVGRAD_ISA must fail here, on the caller's thread
    dispatcher_ = std::thread(&CpuDevice::dispatch, this);
  }

  ~CpuDevice() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    dispatcher_.join();
    allocator_.trim();
  }

  const char* name() const override { return "cpu"; }
  const Kernel& kernel(OpId op) const override { return kKernels[static_cast<int>(op)]; }

  void enqueue(std::shared_ptr<Command> command) override { push({std::move(command), nullptr}); }

  void replay(std::shared_ptr<Program> program, Binding binding) override {
    push({nullptr, [this, program = std::move(program), binding = std::move(binding)](const Error*) {
            program->bind(binding);
            for (const auto& command : program->commands()) run_command(*command);
          }});
  }

  void upload(const Tensor& destination, const void* source) override {
    std::memcpy(destination.storage->data, source, destination.bytes());
  }

  void download(const Tensor& source, void* destination, Done done) override {
    push({nullptr, [source = source.storage->data, bytes = source.bytes(), destination, done](const Error* error) {
            if (!error) std::memcpy(destination, source, bytes);
            done(error);
          }});
  }

  void notify(Done done) override { push({nullptr, std::move(done)}); }

  void synchronize() override {
    drain();
    throw_error();
  }

  void throw_error() override {
    if (!failed_.load(std::memory_order_acquire)) return;
    const Error error = *error_;  // written before failed_, and not again while it is set
    acknowledge_error();
    throw error;
  }

  void acknowledge_error() override {
    if (!failed_.load(std::memory_order_acquire)) return;
    drain();  // what was enqueued after the failure is skipped; only then may new commands run
    failed_.store(false, std::memory_order_release);
  }

  // ---- MemorySource ----
  void* raw_allocate(size_t bytes) override {
    return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  }
  void raw_free(void* block) override { std::free(block); }
  uint64_t submitted() const override { return submitted_; }
  uint64_t completed() const override { return completed_.load(std::memory_order_acquire); }

  void drain() override {
    spin_until([&] { return completed() == submitted_; });
    std::unique_lock lock(mutex_);
    progress_.wait(lock, [&] { return completed() == submitted_; });
  }

 private:
  void push(Entry entry) {
    {
      std::unique_lock lock(mutex_);
      progress_.wait(lock, [&] { return queue_.size() < kQueueCapacity; });
      queue_.push_back(std::move(entry));
      ++submitted_;
      queued_.store(queue_.size(), std::memory_order_release);
    }
    if (sleeping_.load(std::memory_order_seq_cst)) wake_.notify_one();
  }

  /// The dispatcher thread.
  void dispatch() {
    for (;;) {
      spin_until([&] { return queued_.load(std::memory_order_acquire) != 0; });
      Entry entry;
      {
        std::unique_lock lock(mutex_);
        if (queue_.empty()) {
          sleeping_.store(true, std::memory_order_seq_cst);
          wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
          sleeping_.store(false, std::memory_order_relaxed);
        }
        if (queue_.empty()) return;  // stopping, and everything has run
        entry = std::move(queue_.front());
        queue_.pop_front();
        queued_.store(queue_.size(), std::memory_order_relaxed);
      }
      if (entry.command) {
        run_command(*entry.command);
      } else {
        run_action(entry.action);
      }
      entry = {};
      {
        std::lock_guard lock(mutex_);
        completed_.fetch_add(1, std::memory_order_release);
      }
      progress_.notify_all();
    }
  }

  void run_command(const Command& command) {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      command.kernel->run(command.args());
    } catch (const Error& error) {
      set_error(Error(error.code(), std::string(command.op_name) + ": " + error.what()));
    } catch (const std::exception& error) {
      set_error(Error("ERR_INTERNAL", std::string(command.op_name) + ": " + error.what()));
    }
  }

  void run_action(const Done& action) { action(failed_.load(std::memory_order_relaxed) ? &*error_ : nullptr); }

  void set_error(Error error) {
    error_ = std::move(error);
    failed_.store(true, std::memory_order_release);
  }

  std::mutex mutex_;
  std::condition_variable wake_;      // for the dispatcher: there is work
  std::condition_variable progress_;  // for the others: a command has run
  std::deque<Entry> queue_;
  std::atomic<size_t> queued_{0};
  std::atomic<bool> sleeping_{false};
  uint64_t submitted_ = 0;  // written by the JavaScript thread alone
  std::atomic<uint64_t> completed_{0};
  std::atomic<bool> failed_{false};
  std::optional<Error> error_;  // the dispatcher writes it before it sets failed_
  bool stopping_ = false;
  std::thread dispatcher_;
};

}  // namespace

std::shared_ptr<Device> make_device() { return std::make_shared<CpuDevice>(); }

}  // namespace convgrad::cpu
