// All micro-kernels of one instruction set. Each family is a struct of function pointers, defined once per instruction
// set by the family's .cpp in this folder; the code outside this folder is compiled for the baseline and calls through
// kernels(), see isa.h.
#pragma once

#include "cpu/kernels/binary.h"
#include "cpu/kernels/depthwise.h"
#include "cpu/kernels/elementwise.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/loss.h"
#include "cpu/kernels/move.h"
#include "cpu/kernels/norm.h"
#include "cpu/kernels/optimizer.h"
#include "cpu/kernels/peak.h"
#include "cpu/kernels/pool.h"
#include "cpu/kernels/random.h"
#include "cpu/kernels/reduce.h"
#include "cpu/kernels/resize.h"
#include "cpu/kernels/softmax.h"
#include "cpu/kernels/winograd.h"

namespace convgrad::cpu {

struct KernelTable {
  const char* isa;
  int lanes;  // float32 lanes of a vector
  const ElementwiseKernels* elementwise;
  const LossKernels* loss;
  const NormKernels* norm;
  const PoolKernels* pool;
  const ResizeKernels* resize;
  const SoftmaxKernels* softmax;
  const PeakKernels* peak;
  const BinaryKernels* binary;
  const ReduceKernels* reduce;
  const MoveKernels* move;
  const GemmKernels* gemm;
  const DepthwiseKernels* depthwise;
  const WinogradKernels* winograd;
  const RandomKernels* random;
  const OptimizerKernels* optimizer;
};

}  // namespace convgrad::cpu
