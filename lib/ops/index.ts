export * from './unary';
