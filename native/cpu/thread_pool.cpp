#include "cpu/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "cpu/spin.h"
#include "error.h"

namespace convgrad::cpu {

namespace {

/// The tasks that a worker takes first. Alone in a cache line: its worker counts in it all the time.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

/// Every worker starts on a share of its own, the same one in each loop over as many tasks: what it wrote in the last
/// loop is then in its core's cache. Who is done takes from the others.
struct Loop {
  FunctionRef<void(int64_t, int)> body;
  Share* shares;
  int workers;
  std::atomic<int> inside{0};  // workers other than the caller that have not left; changed under the pool's mutex
  std::exception_ptr error = nullptr;

  Loop(FunctionRef<void(int64_t, int)> body, int64_t tasks, Share* shares, int workers)
      : body(body), shares(shares), workers(workers) {
    for (int i = 0; i < workers; ++i) {
      shares[i].next.store(tasks * i / workers, std::memory_order_relaxed);
      shares[i].end = tasks * (i + 1) / workers;
    }
  }

  void work(int worker, std::mutex& mutex) {
    try {
      for (int i = 0; i < workers; ++i) {
        Share& share = shares[(worker + i) % workers];
        for (int64_t task; (task = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) body(task, worker);
      }
    } catch (...) {
      for (int i = 0; i < workers; ++i) shares[i].next.store(shares[i].end, std::memory_order_relaxed);
      std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }
};

class ThreadPool {
 public:
  int threads() const { return threads_.load(std::memory_order_relaxed); }
  void set_threads(int count) { threads_.store(count, std::memory_order_relaxed); }

  void run(int64_t tasks, FunctionRef<void(int64_t, int)> body, int max_workers) {
    const int workers = static_cast<int>(std::min<int64_t>({tasks, threads(), max_workers}));
    if (workers <= 1) {
      for (int64_t task = 0; task < tasks; ++task) body(task, 0);
      return;
    }
    std::lock_guard one_caller(callers_);  // several JavaScript threads may share the pool
    Loop loop(body, tasks, shares_, workers);
    {
      std::lock_guard lock(mutex_);
      while (started_ < workers - 1) {
        std::thread(&ThreadPool::serve, this, ++started_).detach();
      }
      loop_ = &loop;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    loop.work(0, mutex_);
    spin_until([&] { return loop.inside.load(std::memory_order_acquire) == 0; });
    std::unique_lock lock(mutex_);
    loop_ = nullptr;
    left_.wait(lock, [&] { return loop.inside == 0; });
    if (loop.error) std::rethrow_exception(loop.error);
  }

 private:
  void serve(int worker) {
    uint64_t seen = 0;
    for (;;) {
      spin_until([&] { return generation_.load(std::memory_order_acquire) != seen; });
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
      seen = generation_.load(std::memory_order_relaxed);
      Loop* loop = loop_;
      if (!loop || worker >= loop->workers) continue;
      ++loop->inside;
      lock.unlock();
      loop->work(worker, mutex_);
      lock.lock();
      if (--loop->inside == 0) left_.notify_one();
    }
  }

  std::mutex callers_;
  std::mutex mutex_;
  std::condition_variable wake_, left_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> threads_{initial_threads()};
  int started_ = 0;
  Share shares_[kMaxThreads];  // of the loop that runs
  Loop* loop_ = nullptr;

  static int initial_threads() {
    if (const char* text = std::getenv("CONVGRAD_THREADS"); text && *text) {
      const int count = std::atoi(text);
      check(count >= 1 && count <= kMaxThreads, "ERR_VALUE", "CONVGRAD_THREADS must be from 1 to ", kMaxThreads,
            ", got ", text);
      return count;
    }
    return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
  }
};

/// Never destroyed: at exit its threads may still be running.
ThreadPool& pool() {
  static ThreadPool& instance = *new ThreadPool;
  return instance;
}

}  // namespace

int thread_count() { return pool().threads(); }

void set_thread_count(int count) {
  check(count >= 1 && count <= kMaxThreads, "ERR_VALUE", "setThreads: count must be from 1 to ", kMaxThreads, ", got ",
        count);
  pool().set_threads(count);
}

void parallel_for(int64_t tasks, FunctionRef<void(int64_t, int)> body, int max_workers) {
  pool().run(tasks, body, max_workers);
}

}  // namespace convgrad::cpu
