export { benchOps, opsTable, type OpResult, type OpsReport } from './ops';
export { benchNetworks, networksTable, type NetworkResult, type NetworksReport } from './networks';
export { machine, type Machine } from './machine';
