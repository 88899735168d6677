export { recoverFolder, writeFileAtomic, writeFolderAtomic, type Chunks } from './atomicWrite';
export {
  encodeSafetensors,
  readSafetensors,
  SafetensorsFile,
  writeSafetensors,
  type NamedTensors,
  type SafetensorsContents,
  type SafetensorsEntry,
} from './safetensors';
