#include "allocator.h"

#include <algorithm>
#include <bit>

#include "error.h"

namespace convgrad {

namespace {

/// Four classes per power of two: at most a quarter of a block is wasted.
size_t size_class(size_t bytes) {
  constexpr size_t kSmallest = 64;
  if (bytes <= kSmallest) return kSmallest;
  const size_t step = std::max(kSmallest, std::bit_floor(bytes - 1) / 4);
  return (bytes + step - 1) / step * step;
}

}  // namespace

Allocator::~Allocator() { trim(); }

void* Allocator::allocate(size_t bytes, bool idle) {
  const size_t size = size_class(bytes);
  void* block = take_cached(size, idle);
  if (!block) {
    const bool over_limit = stats_.limit && stats_.in_use + stats_.cached + size > stats_.limit;
    if (over_limit) trim();
    if (!stats_.limit || stats_.in_use + size <= stats_.limit) {
      block = source_.raw_allocate(size);
      if (!block) {
        trim();
        block = source_.raw_allocate(size);
      }
    }
    check(block, "ERR_MEMORY", "out of memory: asked for ", bytes, " bytes with ", stats_.in_use, " in use",
          stats_.limit ? " and a limit of " : "", stats_.limit ? std::to_string(stats_.limit) : "",
          "; use a smaller batch, or dispose tensors that are no longer needed");
  }
  sizes_.emplace(block, size);
  stats_.in_use += size;
  stats_.peak = std::max(stats_.peak, stats_.in_use);
  ++stats_.blocks;
  return block;
}

void* Allocator::take_cached(size_t size, bool idle) {
  const auto bucket = free_.find(size);
  if (bucket == free_.end() || bucket->second.empty()) return nullptr;
  auto& blocks = bucket->second;
  auto chosen = blocks.end() - 1;  // the warmest in the cache
  if (idle) {
    const uint64_t completed = source_.completed();
    chosen =
        std::find_if(blocks.begin(), blocks.end(), [&](const FreeBlock& b) { return b.last_command <= completed; });
    if (chosen == blocks.end()) return nullptr;
  }
  void* block = chosen->block;
  blocks.erase(chosen);
  stats_.cached -= size;
  return block;
}

void Allocator::deallocate(void* block) {
  const auto entry = sizes_.find(block);
  const size_t size = entry->second;
  sizes_.erase(entry);
  free_[size].push_back({block, source_.submitted()});
  stats_.in_use -= size;
  stats_.cached += size;
  --stats_.blocks;
}

void Allocator::trim() {
  if (!stats_.cached) return;
  source_.drain();
  for (auto& [size, blocks] : free_) {
    for (const FreeBlock& free : blocks) source_.raw_free(free.block);
  }
  free_.clear();
  stats_.cached = 0;
}

}  // namespace convgrad
