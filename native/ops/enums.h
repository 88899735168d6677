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

/// What an epilogue of convolution and matmul applies to its result.
enum class Activation { none, relu, relu6, sigmoid, tanh, silu, count };

}  // namespace convgrad
