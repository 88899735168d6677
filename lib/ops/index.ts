export * from './unary';
export * from './binary';
export * from './reduce';
export * from './shape';
