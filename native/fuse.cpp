#include "fuse.h"

#include "device.h"
#include "fold.h"
#include "ops/all.h"

namespace convgrad {

namespace {

// Operands of a product.
constexpr int kWeight = 1, kBias = 2, kResidual = 3;

Activation epilogue_of(UnaryFunction function) {
  switch (function) {
    case UnaryFunction::relu:
      return Activation::relu;
    case UnaryFunction::relu6:
      return Activation::relu6;
    case UnaryFunction::sigmoid:
      return Activation::sigmoid;
    case UnaryFunction::tanh:
      return Activation::tanh;
    case UnaryFunction::silu:
      return Activation::silu;
    default:
      return Activation::none;
  }
}

/// The axis of the weight along which a product's output channels lie.
int channel_axis(const Args<Conv2d>&) { return 3; }
int channel_axis(const Args<Conv2dBackwardInput>&) { return 2; }
int channel_axis(const Args<Matmul>& args) { return args.params.transpose_b ? 0 : 1; }

Tensor operand(const Deferred& deferred, int i) {
  const View& view = deferred.command->operands().in[i];
  return {deferred.operands[i], view.dtype, view.shape};
}

template <class Product>
void fuse(Command& command, const Deferred& product, const Deferred& step) {
  Args<Product>& args = static_cast<CommandOf<Product>&>(command).arguments;
  switch (step.stage) {
    case Stage::normalize: {
      const auto& norm = static_cast<const CommandOf<BatchNormInference>&>(*step.command).arguments;
      const FoldedWeight folded =
          Folds::get({operand(product, kWeight), channel_axis(args), operand(product, kBias), operand(step, 1),
                      operand(step, 2), operand(step, 3), operand(step, 4), norm.params.epsilon});
      for (const Tensor* part : {&folded.weight, &folded.bias}) {
        if (Recorder* recorder = part->storage->device->recorder()) recorder->operand(part->storage, false);
      }
      args.in.set(kWeight, folded.weight);
      args.in.set(kBias, folded.bias);
      args.packed = folded.weight.storage->packed_use(packed_user<Product>(args.params));
      break;
    }
    case Stage::add:
      args.in.set(kResidual, step.command->operands().in[1 - step.base]);
      break;
    case Stage::activate:
      args.params.activation =
          epilogue_of(static_cast<const CommandOf<Unary>&>(*step.command).arguments.params.function);
      break;
    case Stage::product:
      break;
  }
}

}  // namespace

std::optional<Place> place_of(const Args<Conv2d>& args) {
  if (args.params.activation != Activation::none) return std::nullopt;
  const bool added = args.in.has(kResidual);
  return Place{Stage::product, added ? Stages{Stage::activate} : Stages{Stage::normalize, Stage::add, Stage::activate},
               fuse<Conv2d>};
}

std::optional<Place> place_of(const Args<Conv2dBackwardInput>& args) {
  if (args.params.activation != Activation::none) return std::nullopt;
  // In groups, a row of the weight has several channels.
  const bool folds = args.params.groups == 1;
  return Place{Stage::product, folds ? Stages{Stage::normalize, Stage::activate} : Stages{Stage::activate},
               fuse<Conv2dBackwardInput>};
}

std::optional<Place> place_of(const Args<Matmul>& args) {
  if (args.params.activation != Activation::none) return std::nullopt;
  Stages next{Stage::activate};
  if (!args.in.has(kResidual)) {
    const bool folds = args.in[kWeight].shape.rank() == 2;
    next = folds ? Stages{Stage::normalize, Stage::add, Stage::activate} : Stages{Stage::add, Stage::activate};
  }
  return Place{Stage::product, next, fuse<Matmul>};
}

std::optional<Place> place_of(const Args<BatchNormInference>&) { return Place{Stage::normalize, {}}; }

std::optional<Place> place_of(const Args<Binary>& args) {
  const View &a = args.in[0], &b = args.in[1];
  const bool adds = args.params.function == BinaryFunction::add && args.in.has(0) && args.in.has(1);
  if (!adds || a.dtype != DType::float32 || a.shape != b.shape) return std::nullopt;
  return Place{Stage::add, {}, nullptr, {1, 0}};
}

std::optional<Place> place_of(const Args<Unary>& args) {
  if (epilogue_of(args.params.function) == Activation::none) return std::nullopt;
  return Place{Stage::activate, {}};
}

}  // namespace convgrad
