// Losses in ranges of a fixed size, whose sums are added in double, in order.
#include "ops/loss.h"

#include <algorithm>
#include <string>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 16384;  // elements a task

int64_t tasks_of(int64_t count, int64_t grain) { return (count + grain - 1) / grain; }

/// The sum of value(i) for i in [0, count), in the order of the index. `partial` holds a double for each kGrain of
/// them.
template <class Value>
double ordered_sum(int64_t count, double* partial, Value&& value) {
  parallel_ranges(count, kGrain, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += static_cast<double>(value(i));
    partial[begin / kGrain] = sum;
  });
  double sum = 0;
  for (int64_t task = 0; task < tasks_of(count, kGrain); ++task) sum += partial[task];
  return sum;
}

/// Weights of `count` losses: each element of the operand is for as many neighbouring losses as it has fewer elements.
class SampleWeight {
 public:
  SampleWeight(const View& view, int64_t count) : data_(view.as<float>()), repeat_(view ? count / view.size() : 1) {}
  explicit operator bool() const { return data_ != nullptr; }
  float operator[](int64_t i) const { return data_ ? data_[i / repeat_] : 1.0f; }
  /// One for each loss: those of the losses from i on, in memory.
  bool is_dense() const { return data_ && repeat_ == 1; }
  const float* at(int64_t i) const { return data_ + i; }
  int64_t repeat() const { return repeat_; }

 private:
  const float* data_;
  int64_t repeat_;
};

// ---- cross-entropy ----

/// Throws ERR_VALUE for the first label that is no class. Before anything runs, so that it's the same on any number of
/// threads.
void check_labels(const View& labels, int64_t classes) {
  const int32_t* values = labels.as<int32_t>();
  const int32_t* end = values + labels.size();
  const int32_t* bad = std::find_if(values, end, [&](int32_t label) { return label < 0 || label >= classes; });
  if (bad == end) return;
  std::string index;
  int64_t rest = bad - values;
  for (int axis = labels.shape.rank() - 1; axis >= 0; --axis) {
    index = std::to_string(rest % labels.shape[axis]) + (index.empty() ? "" : ", ") + index;
    rest /= labels.shape[axis];
  }
  fail("ERR_VALUE", "labels[", index, "] is ", *bad, ", wanted 0..", classes - 1);
}

/// The rows from `begin` to `end`.
CrossEntropyRows rows_of(const CrossEntropyParams& p, const View& scores, const View& target, const View& class_weight,
                         int64_t begin, int64_t end) {
  const int64_t classes = scores.shape[scores.shape.rank() - 1];
  const bool labels = target.dtype == DType::int32;
  return {scores.as<float>() + begin * classes,
          labels ? target.as<int32_t>() + begin : nullptr,
          labels ? nullptr : target.as<float>() + begin * classes,
          class_weight.as<float>(),
          end - begin,
          classes,
          1.0f - p.label_smoothing,
          p.label_smoothing / static_cast<float>(classes),
          p.epsilon};
}

int64_t rows_a_task(const View& scores) { return std::max<int64_t>(1, kGrain / scores.shape[scores.shape.rank() - 1]); }

}  // namespace

template <>
size_t workspace<CrossEntropy>(const Args<CrossEntropy>& args) {
  const int64_t count = args.out[1].shape[0];
  return static_cast<size_t>(tasks_of(count, kGrain)) * sizeof(double) + static_cast<size_t>(count) * sizeof(float);
}

template <>
void run<CrossEntropy>(const Args<CrossEntropy>& args) {
  const View &scores = args.in[0], &target = args.in[1], &class_weight = args.in[2];
  const auto& p = args.params;
  const int64_t count = args.out[1].shape[0], classes = scores.size() / count;
  const bool labels = target.dtype == DType::int32;
  if (labels) check_labels(target, classes);
  const SampleWeight weight(args.in[3], count);
  double* partial = reinterpret_cast<double*>(args.workspace);
  float* losses = p.reduction == Reduction::none ? args.out[0].as<float>()
                                                 : reinterpret_cast<float*>(partial + tasks_of(count, kGrain));
  float* statistics = args.out[1].as<float>();
  const auto kernel = kernels().loss->cross_entropy[!p.from_logits][!labels];
  parallel_ranges(count, rows_a_task(scores), [&](int64_t begin, int64_t end) {
    kernel(rows_of(p, scores, target, class_weight, begin, end), losses + begin, statistics + 2 * begin);
    if (weight) {
      for (int64_t i = begin; i < end; ++i) losses[i] *= weight[i];
    }
  });

  double divisor = 1;
  if (p.reduction == Reduction::mean) {
    const float* weights = class_weight.as<float>();
    const int32_t* label = target.as<int32_t>();
    divisor = labels && weights ? ordered_sum(count, partial, [&](int64_t i) { return weights[label[i]]; })
                                : static_cast<double>(count);
  }
  *args.out[2].as<float>() = static_cast<float>(divisor);
  if (p.reduction == Reduction::none) return;
  const double sum = ordered_sum(count, partial, [&](int64_t i) { return losses[i]; });
  *args.out[0].as<float>() = static_cast<float>(sum / divisor);
}

template <>
size_t workspace<CrossEntropyBackward>(const Args<CrossEntropyBackward>& args) {
  return static_cast<size_t>(args.in[2].shape[0]) * sizeof(float);
}

template <>
void run<CrossEntropyBackward>(const Args<CrossEntropyBackward>& args) {
  const View &scores = args.in[0], &target = args.in[1], &class_weight = args.in[5];
  const auto& p = args.params;
  const int64_t count = args.in[2].shape[0], classes = scores.size() / count;
  const bool labels = target.dtype == DType::int32;
  if (labels) check_labels(target, classes);
  const SampleWeight weight(args.in[6], count);
  const float* dloss = args.in[4].as<float>();
  const float divisor = *args.in[3].as<float>();
  float* scale = reinterpret_cast<float*>(args.workspace);
  const auto kernel = kernels().loss->cross_entropy_gradient[!p.from_logits][!labels];
  parallel_ranges(count, rows_a_task(scores), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      scale[i] = (p.reduction == Reduction::none ? dloss[i] : *dloss / divisor) * weight[i];
    kernel(rows_of(p, scores, target, class_weight, begin, end), args.in[2].as<float>() + 2 * begin, scale + begin,
           args.out[0].as<float>() + begin * classes);
  });
}

// ---- losses of one prediction and one target each ----

namespace {

PointwiseParams kernel_params(const PointwiseLossParams& p) {
  return {p.parameter, 1.0f - p.label_smoothing, 0.5f * p.label_smoothing};
}

/// Calls body(begin, end, weight, scale): ranges of [begin, end) with weights in memory, or with one weight each.
template <class Body>
void each_weighted_range(const SampleWeight& weight, int64_t begin, int64_t end, Body&& body) {
  if (!weight || weight.is_dense()) {
    body(begin, end, weight ? weight.at(begin) : nullptr, 1.0f);
    return;
  }
  while (begin < end) {
    const int64_t next = std::min(end, (begin / weight.repeat() + 1) * weight.repeat());
    body(begin, next, nullptr, weight[begin]);
    begin = next;
  }
}

}  // namespace

template <>
size_t workspace<PointwiseLoss>(const Args<PointwiseLoss>& args) {
  return static_cast<size_t>(tasks_of(args.in[0].size(), kGrain)) * sizeof(double);
}

template <>
void run<PointwiseLoss>(const Args<PointwiseLoss>& args) {
  const auto& p = args.params;
  const int64_t count = args.in[0].size();
  const SampleWeight weight(args.in[2], count);
  const float* prediction = args.in[0].as<float>();
  const float* target = args.in[1].as<float>();
  float* loss = p.reduction == Reduction::none ? args.out[0].as<float>() : nullptr;
  double* partial = reinterpret_cast<double*>(args.workspace);
  const auto kernel = kernels().loss->pointwise[static_cast<int>(p.function)];
  parallel_ranges(count, kGrain, [&](int64_t begin, int64_t end) {
    double sum = 0;
    each_weighted_range(weight, begin, end, [&](int64_t i, int64_t stop, const float* weights, float scale) {
      sum += static_cast<double>(scale) *
             kernel(prediction + i, target + i, weights, scale, stop - i, kernel_params(p), loss ? loss + i : nullptr);
    });
    partial[begin / kGrain] = sum;
  });
  if (p.reduction == Reduction::none) return;
  double sum = 0;
  for (int64_t task = 0; task < tasks_of(count, kGrain); ++task) sum += partial[task];
  *args.out[0].as<float>() =
      static_cast<float>(p.reduction == Reduction::mean ? sum / static_cast<double>(count) : sum);
}

template <>
void run<PointwiseLossBackward>(const Args<PointwiseLossBackward>& args) {
  const auto& p = args.params;
  const int64_t count = args.in[0].size();
  const SampleWeight weight(args.in[3], count);
  const float* prediction = args.in[0].as<float>();
  const float* target = args.in[1].as<float>();
  const float* dloss = p.reduction == Reduction::none ? args.in[2].as<float>() : nullptr;
  const float common =
      dloss ? 1.0f : *args.in[2].as<float>() / (p.reduction == Reduction::mean ? static_cast<float>(count) : 1.0f);
  float* dprediction = args.out[0].as<float>();
  const auto kernel = kernels().loss->pointwise_gradient[static_cast<int>(p.function)];
  parallel_ranges(count, kGrain, [&](int64_t begin, int64_t end) {
    each_weighted_range(weight, begin, end, [&](int64_t i, int64_t stop, const float* weights, float scale) {
      kernel(prediction + i, target + i, dloss ? dloss + i : nullptr, weights, scale * common, stop - i,
             kernel_params(p), dprediction + i);
    });
  });
}

}  // namespace convgrad::cpu
