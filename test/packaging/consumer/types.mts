import { relu, tensor, type Tensor } from 'convgrad';

{
  using x = tensor(new Int32Array([1, 2]));
  const values: Promise<Int32Array> = x.data();
  await values;
}
export const y: Tensor<'float32'> = relu(tensor([-1, 1]));

// @ts-expect-error: a wrong element type
export const wrong: Promise<Float32Array> = tensor([1], [1], 'int32').data();
