#include "cpu/kernels/table.h"

#include "cpu/simd.h"

#define CONVGRAD_STRING(x) #x
#define CONVGRAD_NAME(x) CONVGRAD_STRING(x)

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {

extern const ElementwiseKernels elementwise_kernels;
extern const PeakKernels peak_kernels;

extern const KernelTable table;
const KernelTable table = {
    .isa = CONVGRAD_NAME(CONVGRAD_ISA_NAMESPACE),
    .lanes = kLanes,
    .elementwise = &elementwise_kernels,
    .peak = &peak_kernels,
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
