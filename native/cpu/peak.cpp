#include "cpu/peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "cpu/isa.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

double measure_peak(double milliseconds) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kIterations =
      200'000;  // about a millisecond: long beside the start of a loop, short beside a time slice
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  const Clock::time_point start = Clock::now();
  double best = 0;
  do {
    std::atomic<int64_t> operations{0};
    const Clock::time_point begin = Clock::now();
    parallel_for(thread_count(), [&](int64_t, int) {
      float sink;
      operations += kernels().peak->multiply_add(kIterations, &sink);
      asm volatile("" : : "m"(sink));
    });
    best = std::max(best, static_cast<double>(operations.load()) / seconds(Clock::now() - begin));
  } while (seconds(Clock::now() - start) * 1e3 < milliseconds);
  return best;
}

}  // namespace convgrad::cpu
