// A short busy wait before a thread goes to sleep: waking a sleeping thread costs more than most small kernels run. It
// lets others run in between, above all JavaScript's thread, which may want the same core.
#pragma once

#include <chrono>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace convgrad::cpu {

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns when `ready()` holds, or after some 50 microseconds.
template <class Ready>
void spin_until(Ready&& ready) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return;
      relax();
    }
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < deadline);
}

}  // namespace convgrad::cpu
