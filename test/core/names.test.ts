import { expect, test } from 'vitest';
import { lookUp, nearest } from '../../lib/names';
import { errorOf } from '../support/compare';

const table = { sparseCategoricalCrossentropy: 1, meanSquaredError: 2, mse: 3, adam: 4 };

test('a name is found in any way of writing it', () => {
  for (const name of [
    'sparse_categorical_crossentropy',
    'SparseCategoricalCrossentropy',
    'sparse-categorical-CROSSENTROPY',
  ]) {
    expect(lookUp(table, name, 'loss')).toBe(1);
  }
});

test('an unknown name gets the nearest one suggested, and the list of all', () => {
  const error = errorOf(() => lookUp(table, 'sparse_catgorical_crossentropy', 'compile: loss'));
  expect(error).toMatchObject({ code: 'ERR_VALUE' });
  expect(error.message).toBe(
    "compile: loss 'sparse_catgorical_crossentropy' is unknown; did you mean 'sparseCategoricalCrossentropy'? " +
      'Known: sparseCategoricalCrossentropy, meanSquaredError, mse, adam',
  );
  expect(errorOf(() => lookUp(table, 'hinge', 'loss')).message).toBe(
    "loss 'hinge' is unknown. Known: sparseCategoricalCrossentropy, meanSquaredError, mse, adam",
  );
});

test('one letter more, less, other or swapped is near; another word is not', () => {
  for (const name of ['adamm', 'adm', 'adan', 'adma']) expect(nearest(name, ['sgd', 'adam'])).toBe('adam');
  expect(nearest('convolution', ['sgd', 'adam'])).toBeUndefined();
});
