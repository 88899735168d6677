#include "cpu/kernels/table.h"

#include "cpu/simd.h"

#define CONVGRAD_STRING(x) #x
#define CONVGRAD_NAME(x) CONVGRAD_STRING(x)

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {

extern const ElementwiseKernels elementwise_kernels;
extern const PeakKernels peak_kernels;
extern const BinaryKernels binary_kernels;
extern const ReduceKernels reduce_kernels;
extern const MoveKernels move_kernels;

extern const KernelTable table;
const KernelTable table = {
    .isa = CONVGRAD_NAME(CONVGRAD_ISA_NAMESPACE),
    .lanes = kLanes,
    .elementwise = &elementwise_kernels,
    .peak = &peak_kernels,
    .binary = &binary_kernels,
    .reduce = &reduce_kernels,
    .move = &move_kernels,
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
