import convgrad = require('convgrad');
import type { Tensor } from 'convgrad';

const x: Tensor<'float32'> = convgrad.tensor([[1, 2]]);
export const values: Promise<Float32Array> = x.data();

// @ts-expect-error: a dtype that does not exist
export type Wrong = Tensor<'float3'>;
