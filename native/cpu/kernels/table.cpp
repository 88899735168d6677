#include "cpu/kernels/table.h"

#include "cpu/simd.h"

#define CONVGRAD_STRING(x) #x
#define CONVGRAD_NAME(x) CONVGRAD_STRING(x)

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {

extern const DepthwiseKernels depthwise_kernels;
extern const ElementwiseKernels elementwise_kernels;
extern const LossKernels loss_kernels;
extern const NormKernels norm_kernels;
extern const PoolKernels pool_kernels;
extern const ResizeKernels resize_kernels;
extern const SoftmaxKernels softmax_kernels;
extern const PeakKernels peak_kernels;
extern const BinaryKernels binary_kernels;
extern const ReduceKernels reduce_kernels;
extern const MoveKernels move_kernels;
extern const GemmKernels gemm_kernels;
extern const RandomKernels random_kernels;
extern const OptimizerKernels optimizer_kernels;
extern const WinogradKernels winograd_kernels;

extern const KernelTable table;
const KernelTable table = {
    .isa = CONVGRAD_NAME(CONVGRAD_ISA_NAMESPACE),
    .lanes = kLanes,
    .elementwise = &elementwise_kernels,
    .loss = &loss_kernels,
    .norm = &norm_kernels,
    .pool = &pool_kernels,
    .resize = &resize_kernels,
    .softmax = &softmax_kernels,
    .peak = &peak_kernels,
    .binary = &binary_kernels,
    .reduce = &reduce_kernels,
    .move = &move_kernels,
    .gemm = &gemm_kernels,
    .depthwise = &depthwise_kernels,
    .winograd = &winograd_kernels,
    .random = &random_kernels,
    .optimizer = &optimizer_kernels,
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
