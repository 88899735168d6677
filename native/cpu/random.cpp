// Random numbers and dropout. A task's place in the stream follows from its place in the result.
#include <algorithm>

#include "cpu/isa.h"
#include "cpu/rows.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 16384;  // elements a task; a multiple of 4, so that tasks begin with a block

/// Reads the state, and advances it by the blocks that `count` elements take.
PhiloxPosition take_blocks(const View& state, int64_t count) {
  auto* words = state.as<uint32_t>();
  const uint64_t block = words[2] | static_cast<uint64_t>(words[3]) << 32;
  const uint64_t next = block + static_cast<uint64_t>(random_blocks(count));
  words[2] = static_cast<uint32_t>(next);
  words[3] = static_cast<uint32_t>(next >> 32);
  return {{words[0], words[1]}, block};
}

/// Calls `body(position, begin, count)` for the parts of a result of `count` elements.
template <class Body>
void for_each_part(PhiloxPosition start, int64_t count, Body&& body) {
  parallel_ranges(count, kGrain, [&](int64_t begin, int64_t end) {
    PhiloxPosition at = start;
    at.block += static_cast<uint64_t>(begin / 4);
    body(at, begin, end - begin);
  });
}

void apply_mask(const View& x, const View& mask, const View& y, double rate) {
  const float scale = static_cast<float>(1 / (1 - rate));
  const auto kernel = kernels().random->apply_mask;
  const RowOperand operands[2] = {RowOperand(x), RowOperand(mask)};
  for_each_row(operands, y.shape,
               [&](const void* const(&p)[2], const int64_t(&step)[2], int64_t offset, int64_t count) {
                 kernel(static_cast<const float*>(p[0]), step[0], static_cast<const uint8_t*>(p[1]), step[1],
                        y.as<float>() + offset, count, scale);
               });
}

}  // namespace

template <>
void run<Random>(const Args<Random>& args) {
  const auto& p = args.params;
  const View& y = args.out[0];
  const auto kernel = kernels().random->fill[static_cast<int>(p.function)];
  for_each_part(take_blocks(args.in[0], y.size()), y.size(), [&](PhiloxPosition at, int64_t begin, int64_t count) {
    kernel(at, y.as<uint32_t>() + begin, count, p.a, p.b);
  });
}

template <>
void run<Dropout>(const Args<Dropout>& args) {
  const View &x = args.in[0], &y = args.out[0], &mask = args.out[1];
  const double rate = args.params.rate;
  const auto threshold = static_cast<uint32_t>(std::min(rate * 4294967296.0 + 0.5, 4294967295.0));
  const auto& kernel = *kernels().random;
  const bool fused = mask.size() == x.size();  // the mask is used while it is in the cache
  const float scale = static_cast<float>(1 / (1 - rate));
  for_each_part(take_blocks(args.in[1], mask.size()), mask.size(),
                [&](PhiloxPosition at, int64_t begin, int64_t count) {
                  uint8_t* part = mask.as<uint8_t>() + begin;
                  kernel.mask(at, part, count, threshold);
                  if (fused) kernel.apply_mask(x.as<float>() + begin, 1, part, 1, y.as<float>() + begin, count, scale);
                });
  if (!fused) apply_mask(x, mask, y, rate);
}

template <>
void run<DropoutBackward>(const Args<DropoutBackward>& args) {
  apply_mask(args.in[0], args.in[1], args.out[0], args.params.rate);
}

}  // namespace convgrad::cpu
