// Unary functions, copy and fill: memory-bound, split into ranges that fit a core's L1 and L2.
#include <algorithm>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {
constexpr int64_t kGrain = 16384;  // elements a task: large enough to hide its cost, small enough to balance
}

template <>
void run<Unary>(const Args<Unary>& args) {
  const auto& p = args.params;
  const auto kernel = kernels().elementwise->unary[static_cast<int>(p.function)];
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  parallel_ranges(args.out[0].size(), kGrain,
                  [&](int64_t begin, int64_t end) { kernel(x + begin, y + begin, end - begin, p.alpha, p.beta); });
}

template <>
void run<UnaryBackward>(const Args<UnaryBackward>& args) {
  const auto& p = args.params;
  const auto kernel = kernels().elementwise->unary_backward[static_cast<int>(p.function)];
  const float* saved = args.in[0].as<float>();
  const float* dy = args.in[1].as<float>();
  float* dx = args.out[0].as<float>();
  parallel_ranges(args.out[0].size(), kGrain, [&](int64_t begin, int64_t end) {
    kernel(saved + begin, dy + begin, dx + begin, end - begin, p.alpha, p.beta);
  });
}

template <>
void run<Copy>(const Args<Copy>& args) {
  const View& destination = args.in[0];
  std::memcpy(destination.data, args.in[1].data, static_cast<size_t>(destination.size()) * size_of(destination.dtype));
}

template <>
void run<Fill>(const Args<Fill>& args) {
  const View& y = args.out[0];
  const double value = args.params.value;
  switch (y.dtype) {
    case DType::float32:
      std::fill_n(y.as<float>(), y.size(), static_cast<float>(value));
      break;
    case DType::int32:
      std::fill_n(y.as<int32_t>(), y.size(), static_cast<int32_t>(value));
      break;
    case DType::uint8:
      std::fill_n(y.as<uint8_t>(), y.size(), static_cast<uint8_t>(value));
      break;
  }
}

}  // namespace convgrad::cpu
