// The enums that parameters of ops have and that micro-kernels know too: plain types, since the files that are compiled
// once per instruction set must not instantiate anything from the standard library (see cpu/simd.h). Their names for
// JavaScript stand with the ops.
#pragma once

namespace convgrad {

/// y = f(x). `alpha` and `beta` are parameters of some functions: leaky_relu's slope, clip's bounds.
enum class UnaryFunction {
  relu,
  relu6,
  leaky_relu,
  sigmoid,
  tanh,
  silu,
  hard_silu,
  hard_sigmoid,
  gelu,
  gelu_tanh,
  softplus,
  elu,
  exp,
  log,
  sqrt,
  rsqrt,
  square,
  neg,
  abs,
  clip,
  reciprocal,
  sign,
  count
};

/// y = f(a, b).
enum class BinaryFunction { add, sub, mul, div, pow, maximum, minimum, count };

enum class CompareFunction { equal, not_equal, greater, greater_equal, less, less_equal, count };

/// Variance is the mean squared deviation from the mean; sum_squares is the square of the Euclidean norm.
enum class ReduceFunction { sum, mean, max, min, variance, sum_squares, count };

/// Uniform in [a, b); normal with mean a and standard deviation b, truncated_normal at two deviations; 1 with
/// probability a, else 0; integers in [a, b).
enum class RandomFunction { uniform, normal, truncated_normal, bernoulli, integers, count };

/// Which operand a gradient is for.
enum class Side { a, b };

/// What an epilogue of convolution and matmul applies to its result.
enum class Activation { none, relu, relu6, sigmoid, tanh, silu, count };

/// Losses of one prediction and one target each.
enum class PointwiseLossFunction { mse, mae, huber, binary_cross_entropy, binary_cross_entropy_with_logits, count };

/// How a convolution, or one of its gradients, is computed. winograd: F(4×4, 3×3), with a quarter of the
/// multiplications and a somewhat larger rounding error. im2col: a product with an explicit matrix of the windows.
/// implicit_gemm: the same product, read from the image in place. direct: depthwise, without a product. reference: the
/// definition, summed in float64. automatic: whichever of the others suits the problem.
enum class ConvAlgorithm { automatic, winograd, implicit_gemm, im2col, direct, reference, count };

/// What `automatic` may choose from. high: everything; highest: only algorithms that sum the products of the
/// definition, not winograd.
enum class Precision { high, highest, count };

}  // namespace convgrad
