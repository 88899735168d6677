#include "packed.h"

#include <cstdlib>

#include "error.h"

namespace convgrad {

std::atomic<size_t> PackedCopies::total_{0};

PackedCopies::Block::Block(size_t floats) : bytes_((floats * sizeof(float) + 63) / 64 * 64) {
  data_ = static_cast<float*>(std::aligned_alloc(64, bytes_));
  check(data_ != nullptr, "ERR_MEMORY", "out of memory: asked for ", bytes_, " bytes for the packed copy of a weight");
  total_.fetch_add(bytes_, std::memory_order_relaxed);
}

PackedCopies::Block::~Block() {
  if (!data_) return;
  std::free(data_);
  total_.fetch_sub(bytes_, std::memory_order_relaxed);
}

}  // namespace convgrad
