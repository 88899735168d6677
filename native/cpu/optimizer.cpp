// The steps of optimizers: all parameters are cut into chunks, which the threads share, so that many small parameters
// cost no more than one large one.
#include <algorithm>
#include <cmath>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 16384;  // elements a chunk

struct Chunk {
  int64_t tensor, begin, count;
};

int64_t count_chunks(std::span<const View> tensors) {
  int64_t chunks = 0;
  for (const View& tensor : tensors) chunks += (tensor.size() + kGrain - 1) / kGrain;
  return chunks;
}

/// Writes the chunks of those tensors that `wanted` into the workspace and returns them.
template <class Wanted>
std::span<Chunk> make_chunks(std::span<const View> tensors, std::byte* workspace, Wanted&& wanted) {
  auto* chunks = reinterpret_cast<Chunk*>(workspace);
  size_t size = 0;
  for (size_t tensor = 0; tensor < tensors.size(); ++tensor) {
    if (!wanted(tensor)) continue;
    const int64_t elements = tensors[tensor].size();
    for (int64_t begin = 0; begin < elements; begin += kGrain) {
      chunks[size++] = {static_cast<int64_t>(tensor), begin, std::min(kGrain, elements - begin)};
    }
  }
  return {chunks, size};
}

std::span<Chunk> make_chunks(std::span<const View> tensors, std::byte* workspace) {
  return make_chunks(tensors, workspace, [](size_t) { return true; });
}

template <class Body>
void for_each_chunk(std::span<const Chunk> chunks, Body&& body) {
  parallel_for(static_cast<int64_t>(chunks.size()),
               [&](int64_t task, int) { body(chunks[static_cast<size_t>(task)]); });
}

/// The chunk's part of its tensor in a list; null where the list is empty.
float* part(std::span<const View> list, const Chunk& chunk) {
  return list.empty() ? nullptr : list[static_cast<size_t>(chunk.tensor)].as<float>() + chunk.begin;
}

size_t chunk_bytes(std::span<const View> tensors) { return static_cast<size_t>(count_chunks(tensors)) * sizeof(Chunk); }

void increment(std::span<const View> steps) {
  for (const View& step : steps) ++*step.as<int32_t>();
}

/// Gradients may share memory, as the gradients of a and b in a + b do: whether this one is the first to use its.
auto first_use(std::span<const View> tensors) {
  return [tensors](size_t i) {
    return std::none_of(tensors.begin(), tensors.begin() + static_cast<std::ptrdiff_t>(i),
                        [&](const View& other) { return other.data == tensors[i].data; });
  };
}

}  // namespace

template <>
size_t workspace<SgdStep>(const Args<SgdStep>& args) {
  return chunk_bytes(args.in.list(0));
}

template <>
void run<SgdStep>(const Args<SgdStep>& args) {
  const auto& p = args.params;
  const auto params = args.in.list(0), grads = args.in.list(1), momenta = args.in.list(2), steps = args.in.list(3);
  const float lr = *args.in[4].as<float>();
  const auto kernel = kernels().optimizer->sgd;
  for_each_chunk(make_chunks(params, args.workspace), [&](const Chunk& chunk) {
    const bool first = *steps[static_cast<size_t>(chunk.tensor)].as<int32_t>() == 0;
    const SgdFactors factors = {lr, static_cast<float>(p.momentum), static_cast<float>(first ? 1 : 1 - p.dampening),
                                static_cast<float>(p.weight_decay), p.nesterov};
    kernel(part(params, chunk), part(grads, chunk), part(momenta, chunk), chunk.count, factors);
  });
  increment(steps);
}

template <>
size_t workspace<AdamStep>(const Args<AdamStep>& args) {
  return chunk_bytes(args.in.list(0));
}

template <>
void run<AdamStep>(const Args<AdamStep>& args) {
  const auto& p = args.params;
  const auto params = args.in.list(0), grads = args.in.list(1), means = args.in.list(2), squares = args.in.list(3),
             steps = args.in.list(4);
  const double lr = *args.in[5].as<float>();
  const auto kernel = kernels().optimizer->adam;
  for_each_chunk(make_chunks(params, args.workspace), [&](const Chunk& chunk) {
    const double t = *steps[static_cast<size_t>(chunk.tensor)].as<int32_t>() + 1.0;
    const double correction = 1 - std::pow(p.beta1, t), root = std::sqrt(1 - std::pow(p.beta2, t));
    const AdamFactors factors = {
        .beta1 = static_cast<float>(p.beta1),
        .gradient_weight = static_cast<float>(1 - p.beta1),
        .beta2 = static_cast<float>(p.beta2),
        .square_weight = static_cast<float>(1 - p.beta2),
        .epsilon = static_cast<float>(p.keras_epsilon ? p.epsilon / root : p.epsilon),
        .weight_decay = static_cast<float>(p.decoupled ? 0 : p.weight_decay),
        .decay = static_cast<float>(p.decoupled ? 1 - lr * p.weight_decay : 1),
        .rate = static_cast<float>(lr / correction),
        .square_root = static_cast<float>(1 / root),
    };
    kernel(part(params, chunk), part(grads, chunk), part(means, chunk), part(squares, chunk), chunk.count, factors);
  });
  increment(steps);
}

template <>
size_t workspace<RmspropStep>(const Args<RmspropStep>& args) {
  return chunk_bytes(args.in.list(0));
}

template <>
void run<RmspropStep>(const Args<RmspropStep>& args) {
  const auto& p = args.params;
  const auto params = args.in.list(0), grads = args.in.list(1), squares = args.in.list(2), means = args.in.list(3),
             momenta = args.in.list(4);
  const auto epsilon = static_cast<float>(p.epsilon);
  const RmspropFactors factors = {
      .lr = *args.in[5].as<float>(),
      .alpha = static_cast<float>(p.alpha),
      .square_weight = static_cast<float>(1 - p.alpha),
      .weight_decay = static_cast<float>(p.weight_decay),
      .momentum = static_cast<float>(p.momentum),
      .inner_epsilon = p.keras_epsilon ? epsilon : 0,
      .outer_epsilon = p.keras_epsilon ? 0 : epsilon,
  };
  const auto kernel = kernels().optimizer->rmsprop;
  for_each_chunk(make_chunks(params, args.workspace), [&](const Chunk& chunk) {
    kernel(part(params, chunk), part(grads, chunk), part(squares, chunk), part(means, chunk), part(momenta, chunk),
           chunk.count, factors);
  });
}

template <>
size_t workspace<ClipByGlobalNorm>(const Args<ClipByGlobalNorm>& args) {
  const auto chunks = static_cast<size_t>(count_chunks(args.in.list(0)));
  return chunks * (sizeof(Chunk) + sizeof(double));
}

template <>
void run<ClipByGlobalNorm>(const Args<ClipByGlobalNorm>& args) {
  const auto grads = args.in.list(0);
  const auto square_sum = kernels().reduce->row_f32[static_cast<int>(Accumulation::sum_squares)];
  const auto chunks = make_chunks(grads, args.workspace);
  auto* sums = reinterpret_cast<double*>(args.workspace + chunks.size_bytes());
  for_each_chunk(chunks, [&](const Chunk& chunk) {
    sums[&chunk - chunks.data()] = square_sum(part(grads, chunk), chunk.count, 0);
  });
  double total = 0;
  for (size_t i = 0; i < chunks.size(); ++i) total += sums[i];
  const double norm = std::sqrt(total), factor = args.params.max_norm / (norm + 1e-6);
  *args.out[0].as<float>() = static_cast<float>(norm);
  if (factor >= 1) return;
  const auto scale = kernels().optimizer->scale;
  for_each_chunk(make_chunks(grads, args.workspace, first_use(grads)),
                 [&](const Chunk& chunk) { scale(part(grads, chunk), chunk.count, static_cast<float>(factor)); });
}

template <>
size_t workspace<ClipByValue>(const Args<ClipByValue>& args) {
  return chunk_bytes(args.in.list(0));
}

template <>
void run<ClipByValue>(const Args<ClipByValue>& args) {
  const auto grads = args.in.list(0);
  const auto clip = kernels().optimizer->clip;
  for_each_chunk(make_chunks(grads, args.workspace, first_use(grads)), [&](const Chunk& chunk) {
    clip(part(grads, chunk), chunk.count, static_cast<float>(args.params.limit));
  });
}

}  // namespace convgrad::cpu
