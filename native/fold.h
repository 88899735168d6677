// A batch norm with known statistics after a product is a scale and an offset a channel: it goes into the product's
// weight and bias.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "tensor.h"

namespace convgrad {

/// A weight and what comes after its product. Absent tensors have no storage.
struct NormalizedWeight {
  Tensor weight;
  int channel_axis;  // of the weight
  Tensor bias, mean, variance, gamma, beta;
  float epsilon;

  std::array<const Tensor*, 6> sources() const { return {&weight, &bias, &mean, &variance, &gamma, &beta}; }
};

struct FoldedWeight {
  Tensor weight, bias;
};

/// The folded copies that a tensor has a part in. They live as long as they are right: a write to any of the tensors
/// that they were made of frees them, as do the weight and its storage when they go.
class Folds {
 public:
  ~Folds() { drop(); }

  /// The folded copy; makes it if there is none.
  static FoldedWeight get(const NormalizedWeight& from);

  /// Frees all.
  void drop();

 private:
  struct Fold {
    Shape shape;
    float epsilon;
    std::array<const Storage*, 6> sources;
    FoldedWeight folded;
  };
  std::vector<std::shared_ptr<Fold>> of_weight_;
  std::vector<std::weak_ptr<Fold>> others_;
};

}  // namespace convgrad
