// A caching allocator with size classes, used by every device and only from the JavaScript thread.
//
// Freeing is stream-ordered: commands run in the order they were enqueued, so a block that JavaScript has disposed may
// be handed to the next command at once, even while older commands still read it. Only memory that the *host* writes
// directly (uploads) must be idle; for that every free block remembers the last command that could have touched it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

namespace convgrad {

struct MemoryStats {
  size_t in_use = 0;  // bytes in live blocks, rounded up to their size class
  size_t cached = 0;  // bytes kept for reuse
  size_t peak = 0;    // the largest in_use so far
  size_t blocks = 0;  // live blocks
  size_t limit = 0;   // 0: none
};

/// Where blocks come from: malloc on the CPU, cudaMalloc on a GPU.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  virtual void* raw_allocate(size_t bytes) = 0;  // nullptr when there is none
  virtual void raw_free(void* block) = 0;
  virtual uint64_t submitted() const = 0;  // number of the newest command
  virtual uint64_t completed() const = 0;  // number of the newest command that has run
  virtual void drain() = 0;                // returns when every command has run
};

class Allocator {
 public:
  explicit Allocator(MemorySource& source) : source_(source) {}
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// A block of at least `bytes`, aligned to 64. With `idle`, no command in flight uses it. Throws ERR_MEMORY.
  void* allocate(size_t bytes, bool idle);
  void deallocate(void* block);

  /// Gives every cached block back to the source.
  void trim();
  void set_limit(size_t bytes) { stats_.limit = bytes; }
  const MemoryStats& stats() const { return stats_; }
  void reset_peak() { stats_.peak = stats_.in_use; }

 private:
  struct FreeBlock {
    void* block;
    uint64_t last_command;
  };

  void* take_cached(size_t size, bool idle);

  MemorySource& source_;
  std::map<size_t, std::vector<FreeBlock>> free_;
  std::unordered_map<void*, size_t> sizes_;  // of live blocks
  MemoryStats stats_;
};

}  // namespace convgrad
