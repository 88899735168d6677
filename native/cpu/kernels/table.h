// All micro-kernels of one instruction set. Each family is a struct of function pointers, defined once per instruction
// set by the family's .cpp in this folder; the code outside this folder is compiled for the baseline and calls through
// kernels(), see isa.h.
#pragma once

#include "cpu/kernels/elementwise.h"
#include "cpu/kernels/peak.h"

namespace convgrad::cpu {

struct KernelTable {
  const char* isa;
  int lanes;  // float32 lanes of a vector
  const ElementwiseKernels* elementwise;
  const PeakKernels* peak;
};

}  // namespace convgrad::cpu
