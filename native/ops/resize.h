// Resizing NHWC images, and its gradient.
#pragma once

#include <algorithm>

#include "ops/op.h"

namespace convgrad {

enum class ResizeMethod { nearest, bilinear, count };
constexpr std::array kResizeMethodNames = {"nearest", "bilinear"};
static_assert(kResizeMethodNames.size() == static_cast<size_t>(ResizeMethod::count));
inline EnumNames names_of(ResizeMethod) { return kResizeMethodNames; }

/// Where element i of an axis of the result lies in the input. half_pixel: pixels are areas, and the edges of the
/// images coincide: (i + ½) · input / output - ½. align_corners: the centres of the first and of the last pixel
/// coincide. asymmetric: i · input / output, as torch's 'nearest'.
enum class ResizeCoordinates { half_pixel, align_corners, asymmetric, count };
constexpr std::array kResizeCoordinatesNames = {"halfPixel", "alignCorners", "asymmetric"};
static_assert(kResizeCoordinatesNames.size() == static_cast<size_t>(ResizeCoordinates::count));
inline EnumNames names_of(ResizeCoordinates) { return kResizeCoordinatesNames; }

struct ResizeParams {
  IntList size;  // [height, width] of the result; for the backward op of the input
  ResizeMethod method{};
  ResizeCoordinates coordinates{};
  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("size", size);
    visit("method", method);
    visit("coordinates", coordinates);
  }
};

/// Between which elements of an axis an element of the result lies: value = x[low] + weight · (x[high] - x[low]).
struct ResizeSource {
  int32_t low, high;
  float weight;
};

/// The position as a fraction of integers, so that whole ratios are exact. nearest: halves go up, but for asymmetric
/// coordinates, where positions are cut off.
inline ResizeSource resize_source(const ResizeParams& p, int64_t i, int64_t input, int64_t output) {
  int64_t numerator = 0, denominator = 1;
  switch (p.coordinates) {
    case ResizeCoordinates::half_pixel:
      numerator = (2 * i + 1) * input - output;
      denominator = 2 * output;
      break;
    case ResizeCoordinates::align_corners:
      if (output > 1) numerator = i * (input - 1), denominator = output - 1;
      break;
    default:
      numerator = i * input;
      denominator = output;
  }
  const int64_t last = input - 1;
  if (p.method == ResizeMethod::nearest) {
    const bool cut = p.coordinates == ResizeCoordinates::asymmetric;
    const int64_t nearest = cut ? numerator / denominator : (2 * numerator + denominator) / (2 * denominator);
    const auto index = static_cast<int32_t>(std::min(nearest, last));
    return {index, index, 0};
  }
  numerator = std::max<int64_t>(numerator, 0);
  const int64_t low = std::min(numerator / denominator, last);
  const double weight = static_cast<double>(numerator - low * denominator) / static_cast<double>(denominator);
  return {static_cast<int32_t>(low), static_cast<int32_t>(std::min(low + 1, last)), static_cast<float>(weight)};
}

inline Shape infer_resize(const char* op, const ResizeParams& params, const View& x) {
  check_rank(op, "x", x, 4, "[N, H, W, C]");
  check(params.size.size() == 2, "ERR_VALUE", op, ": size must be [height, width], got ", params.size.size(),
        " numbers");
  constexpr int64_t kMaxExtent = int64_t{1} << 30;
  const int64_t extents[] = {params.size[0], params.size[1], x.shape[1], x.shape[2]};
  for (const int64_t extent : extents) {
    check(extent >= 1 && extent <= kMaxExtent, "ERR_VALUE", op, ": height and width must be from 1 to 2^30, got ",
          extent);
  }
  const Shape result{x.shape[0], params.size[0], params.size[1], x.shape[3]};
  result.validate(op);
  return result;
}

/// float32 from float32 or uint8.
struct Resize {
  static constexpr const char* name = "resize";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};
  static constexpr bool has_workspace = true;
  using Params = ResizeParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check(in[0].dtype == DType::float32 || in[0].dtype == DType::uint8, "ERR_DTYPE", name,
          ": x must be float32 or uint8, got ", in[0].dtype);
    return {{DType::float32, infer_resize(name, params, in[0])}};
  }
};

struct ResizeBackward {
  static constexpr const char* name = "resizeBackward";
  static constexpr std::array operands = {"dy"};
  static constexpr std::array outputs = {"dx"};
  static constexpr bool has_workspace = true;
  using Params = ResizeParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name, "dy", in[0], DType::float32);
    return {{DType::float32, infer_resize(name, params, in[0])}};
  }
};

}  // namespace convgrad
