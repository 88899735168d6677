// A pool of threads for data-parallel loops. The caller takes part; idle threads spin for some microseconds, since the
// next loop of a network usually follows at once, and then sleep.
#pragma once

#include <cstdint>
#include <type_traits>

namespace convgrad::cpu {

/// A reference to a callable, without allocation.
template <class Signature>
class FunctionRef;
template <class... A>
class FunctionRef<void(A...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)  // copying is not referring to the copy's source
      FunctionRef(F&& f)                                          // NOLINT: a parameter type, made to convert
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* object, A... a) { (*static_cast<std::remove_reference_t<F>*>(object))(a...); }) {}
  void operator()(A... a) const { call_(object_, a...); }

 private:
  void* object_;
  void (*call_)(void*, A...);
};

constexpr int kMaxThreads = 256;

/// Threads that loops use, the caller included. By default CONVGRAD_THREADS, or what the machine offers the process.
int thread_count();
void set_thread_count(int count);

/// Calls `body(task, worker)` once for each task in [0, tasks); worker < thread_count() is unique among the calls that
/// run at the same time, for scratch memory. Which thread runs a task is not fixed, so a task's result must not depend
/// on `worker`: split the work by the problem's shape alone, and reduce partial results in the order of tasks. The
/// first exception is thrown again here, after all tasks in flight have ended.
///
/// A command may run when the thread count has changed since its scratch memory was sized: `max_workers` limits the
/// threads to what that memory is for.
void parallel_for(int64_t tasks, FunctionRef<void(int64_t task, int worker)> body, int max_workers = kMaxThreads);

/// Splits [0, count) into ranges of at most `grain` and calls `body(begin, end)` for each.
template <class F>
void parallel_ranges(int64_t count, int64_t grain, F&& body) {
  const int64_t tasks = (count + grain - 1) / grain;
  parallel_for(tasks, [&](int64_t task, int) {
    const int64_t begin = task * grain;
    body(begin, begin + grain < count ? begin + grain : count);
  });
}

}  // namespace convgrad::cpu
