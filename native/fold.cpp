#include "fold.h"

#include <initializer_list>

#include "device.h"
#include "ops/all.h"

namespace convgrad {

namespace {

/// Enqueues an op of one output. Operands that are absent are tensors without storage.
template <class Op>
Tensor enqueue(const std::shared_ptr<Device>& device, const typename Op::Params& params,
               std::initializer_list<Tensor> operands) {
  auto command = std::make_shared<CommandOf<Op>>();
  Args<Op>& args = command->arguments;
  args.params = params;
  for (const Tensor& operand : operands) args.in.add(operand.storage ? View(operand) : View());
  const TensorSpec spec = Op::infer(args.params, args.in)[0];
  Tensor output = Tensor::allocate(device, spec.dtype, spec.shape);
  args.out.add(output);
  command->kernel = &device->kernel(id_of<Op>);
  device->submit(std::move(command));
  return output;
}

Tensor filled(const std::shared_ptr<Device>& device, int64_t count, double value) {
  Fill::Params params;
  params.dtype = DType::float32;
  params.shape.push_back(count);
  params.value = value;
  return enqueue<Fill>(device, params, {});
}

Tensor reshaped(const Tensor& tensor, const Shape& shape) { return {tensor.storage, tensor.dtype, shape}; }

/// With s = gamma / sqrt(variance + epsilon): the weight times s, and (bias - mean) · s + beta. Both are batch norms:
/// of ones without mean and beta, and of the bias.
FoldedWeight fold(const NormalizedWeight& from) {
  const std::shared_ptr<Device>& device = from.weight.storage->device;
  const int64_t channels = from.mean.shape[0];
  const Shape row{1, channels};
  const BatchNormInference::Params params{from.epsilon};
  const Tensor zeros = filled(device, channels, 0), ones = filled(device, channels, 1);
  const Tensor scale =
      enqueue<BatchNormInference>(device, params, {reshaped(ones, row), zeros, from.variance, from.gamma, Tensor()});
  const Tensor bias = enqueue<BatchNormInference>(
      device, params,
      {reshaped(from.bias.storage ? from.bias : zeros, row), from.mean, from.variance, from.gamma, from.beta});

  Shape along{channels};
  for (int axis = from.channel_axis + 1; axis < from.weight.shape.rank(); ++axis) along.push_back(1);
  Binary::Params product;
  product.function = BinaryFunction::mul;
  return {enqueue<Binary>(device, product, {from.weight, reshaped(scale, along)}), reshaped(bias, Shape{channels})};
}

Folds& folds_of(const Tensor& tensor) {
  if (!tensor.storage->folds) tensor.storage->folds = std::make_unique<Folds>();
  return *tensor.storage->folds;
}

}  // namespace

FoldedWeight Folds::get(const NormalizedWeight& from) {
  std::array<const Storage*, 6> sources;
  for (size_t i = 0; i < sources.size(); ++i) sources[i] = from.sources()[i]->storage.get();
  auto& folds = folds_of(from.weight).of_weight_;
  std::erase_if(folds, [](const auto& fold) { return !fold->folded.weight.storage; });
  for (const auto& fold : folds) {
    if (fold->sources == sources && fold->shape == from.weight.shape && fold->epsilon == from.epsilon) {
      return fold->folded;
    }
  }
  folds.push_back(std::make_shared<Fold>(Fold{from.weight.shape, from.epsilon, sources, fold(from)}));
  for (const Tensor* source : from.sources()) {
    if (!source->storage || source == &from.weight) continue;
    auto& others = folds_of(*source).others_;
    std::erase_if(others, [](const auto& fold) { return fold.expired(); });
    others.push_back(folds.back());
  }
  return folds.back()->folded;
}

void Folds::drop() {
  of_weight_.clear();
  for (const auto& other : others_) {
    if (const auto fold = other.lock()) fold->folded = {};
  }
  others_.clear();
}

}  // namespace convgrad
