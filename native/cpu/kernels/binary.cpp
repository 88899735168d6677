// Functions of two rows: whole vectors, then one partial vector; a row of step 0 is one value, splatted once.
#include "cpu/kernels/binary.h"

#include "cpu/simd_pow.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

using F = BinaryFunction;
using C = CompareFunction;

template <F f>
CONVGRAD_INLINE VecF forward(VecF a, VecF b) {
  if constexpr (f == F::add) return a + b;
  if constexpr (f == F::sub) return a - b;
  if constexpr (f == F::mul) return a * b;
  if constexpr (f == F::div) return a / b;
  if constexpr (f == F::pow) return pow(a, b);
  // NaN in either operand gives NaN.
  if constexpr (f == F::maximum) return ((a > b) | (a != a)) ? a : b;
  if constexpr (f == F::minimum) return ((a < b) | (a != a)) ? a : b;
}

/// In unsigned arithmetic, which wraps around.
template <F f>
CONVGRAD_INLINE int32_t forward(int32_t a, int32_t b) {
  if constexpr (f == F::add) return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  if constexpr (f == F::sub) return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
  if constexpr (f == F::mul) return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
  if constexpr (f == F::maximum) return a > b ? a : b;
  if constexpr (f == F::minimum) return a < b ? a : b;
}

template <F f, Side side>
CONVGRAD_INLINE VecF backward(VecF a, VecF b, VecF dy) {
  const VecF zero = {};
  constexpr bool for_a = side == Side::a;
  if constexpr (f == F::div) return for_a ? dy / b : -dy * a / b / b;
  if constexpr (f == F::pow && for_a) return b == 0.0f ? zero : dy * b * pow(a, b - 1.0f);
  if constexpr (f == F::pow && !for_a) return ((a == 0.0f) & (b >= 0.0f)) ? zero : dy * pow(a, b) * log(a);
  const VecI a_wins = f == F::maximum ? a > b : a < b;
  const VecI b_wins = f == F::maximum ? b > a : b < a;
  return (for_a ? a_wins : b_wins) ? dy : ((for_a ? b_wins : a_wins) ? zero : dy * 0.5f);
}

template <class T>
struct Row;

template <>
struct Row<float> {
  const float* x;
  int64_t step;
  CONVGRAD_INLINE VecF at(int64_t i) const { return step ? load(x + i) : splat(*x); }
  CONVGRAD_INLINE VecF at(int64_t i, int64_t count) const { return step ? load_partial(x + i, count) : splat(*x); }
};

template <F f, bool a_steps, bool b_steps>
CONVGRAD_INLINE void binary_loop(const float* a, const float* b, float* y, int64_t count) {
  const Row<float> ra{a, a_steps}, rb{b, b_steps};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, forward<f>(ra.at(i), rb.at(i)));
  if (i < count) store_partial(y + i, forward<f>(ra.at(i, count - i), rb.at(i, count - i)), count - i);
}

template <F f>
void binary(const float* a, int64_t a_step, const float* b, int64_t b_step, float* y, int64_t count) {
  if (a_step && b_step) return binary_loop<f, true, true>(a, b, y, count);
  if (a_step) return binary_loop<f, true, false>(a, b, y, count);
  if (b_step) return binary_loop<f, false, true>(a, b, y, count);
  binary_loop<f, false, false>(a, b, y, count);
}

template <F f, Side side, bool a_steps, bool b_steps>
CONVGRAD_INLINE void backward_loop(const float* a, const float* b, const float* dy, float* dx, int64_t count) {
  const Row<float> ra{a, a_steps}, rb{b, b_steps};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(dx + i, backward<f, side>(ra.at(i), rb.at(i), load(dy + i)));
  if (i < count) {
    const int64_t n = count - i;
    store_partial(dx + i, backward<f, side>(ra.at(i, n), rb.at(i, n), load_partial(dy + i, n)), n);
  }
}

template <F f, Side side>
void binary_backward(const float* a, int64_t a_step, const float* b, int64_t b_step, const float* dy, float* dx,
                     int64_t count) {
  if (a_step && b_step) return backward_loop<f, side, true, true>(a, b, dy, dx, count);
  if (a_step) return backward_loop<f, side, true, false>(a, b, dy, dx, count);
  if (b_step) return backward_loop<f, side, false, true>(a, b, dy, dx, count);
  backward_loop<f, side, false, false>(a, b, dy, dx, count);
}

// The integer loops, comparisons and selections are plain enough for the compiler to vectorise.

/// Calls `body(a, b)` with functions of the index that read the rows.
template <class T, class Body>
CONVGRAD_INLINE void by_step(const T* a, int64_t a_step, const T* b, int64_t b_step, Body body) {
  const auto row_a = [a](int64_t i) __attribute__((always_inline)) { return a[i]; };
  const auto row_b = [b](int64_t i) __attribute__((always_inline)) { return b[i]; };
  const auto one_a = [a0 = *a](int64_t) __attribute__((always_inline)) { return a0; };
  const auto one_b = [b0 = *b](int64_t) __attribute__((always_inline)) { return b0; };
  if (a_step && b_step) return body(row_a, row_b);
  if (a_step) return body(row_a, one_b);
  if (b_step) return body(one_a, row_b);
  body(one_a, one_b);
}

template <F f>
void binary_i32(const int32_t* a, int64_t a_step, const int32_t* b, int64_t b_step, int32_t* __restrict y,
                int64_t count) {
  by_step(a, a_step, b, b_step, [=](auto at_a, auto at_b) {
    for (int64_t i = 0; i < count; ++i) y[i] = forward<f>(at_a(i), at_b(i));
  });
}

template <C c, class T>
CONVGRAD_INLINE bool holds(T a, T b) {
  if constexpr (c == C::equal) return a == b;
  if constexpr (c == C::not_equal) return a != b;
  if constexpr (c == C::greater) return a > b;
  if constexpr (c == C::greater_equal) return a >= b;
  if constexpr (c == C::less) return a < b;
  if constexpr (c == C::less_equal) return a <= b;
}

template <C c, class T>
void compare(const T* a, int64_t a_step, const T* b, int64_t b_step, uint8_t* __restrict y, int64_t count) {
  by_step(a, a_step, b, b_step, [=](auto at_a, auto at_b) {
    for (int64_t i = 0; i < count; ++i) y[i] = holds<c, T>(at_a(i), at_b(i));
  });
}

template <class T>
void select(const uint8_t* condition, int64_t condition_step, const T* a, int64_t a_step, const T* b, int64_t b_step,
            T* __restrict y, int64_t count) {
  by_step(a, a_step, b, b_step, [=](auto at_a, auto at_b) {
    if (condition_step) {
      // Both sides are read whatever the condition, so that the loop has no branch.
      for (int64_t i = 0; i < count; ++i) {
        const T when_true = at_a(i), when_false = at_b(i);
        y[i] = condition[i] ? when_true : when_false;
      }
    } else if (*condition) {
      for (int64_t i = 0; i < count; ++i) y[i] = at_a(i);
    } else {
      for (int64_t i = 0; i < count; ++i) y[i] = at_b(i);
    }
  });
}

}  // namespace

#define CONVGRAD_EACH_COMPARE(T)                                                                          \
  {                                                                                                       \
    compare<C::equal, T>, compare<C::not_equal, T>, compare<C::greater, T>, compare<C::greater_equal, T>, \
        compare<C::less, T>, compare<C::less_equal, T>                                                    \
  }
#define CONVGRAD_BOTH_SIDES(f) \
  { binary_backward<f, Side::a>, binary_backward<f, Side::b> }

extern const BinaryKernels binary_kernels;
const BinaryKernels binary_kernels = {
    .f32 = {binary<F::add>, binary<F::sub>, binary<F::mul>, binary<F::div>, binary<F::pow>, binary<F::maximum>,
            binary<F::minimum>},
    .i32 = {binary_i32<F::add>, binary_i32<F::sub>, binary_i32<F::mul>, nullptr, nullptr, binary_i32<F::maximum>,
            binary_i32<F::minimum>},
    .backward = {{},
                 {},
                 {},
                 CONVGRAD_BOTH_SIDES(F::div),
                 CONVGRAD_BOTH_SIDES(F::pow),
                 CONVGRAD_BOTH_SIDES(F::maximum),
                 CONVGRAD_BOTH_SIDES(F::minimum)},
    .compare_f32 = CONVGRAD_EACH_COMPARE(float),
    .compare_i32 = CONVGRAD_EACH_COMPARE(int32_t),
    .compare_u8 = CONVGRAD_EACH_COMPARE(uint8_t),
    .select_32 = select<uint32_t>,
    .select_8 = select<uint8_t>,
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
