import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';

const root = resolve(__dirname, '../..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] };
export const platform = `${process.platform}-${process.arch}`;

function which(program: string): string {
  return realpathSync(execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim());
}

/** A folder outside the repository with a user's project in it: convgrad installed from a packed tarball, and nothing else. */
export class Installation {
  readonly folder = mkdtempSync(join(tmpdir(), 'convgrad-installed-'));
  readonly convgrad = join(this.folder, 'node_modules/convgrad');
  /** Programs that the project's commands find: Node and npm; no compiler, no cmake. */
  private readonly programs = join(this.folder, 'programs');

  constructor(options: { prebuilt: boolean }) {
    mkdirSync(this.programs);
    symlinkSync(process.execPath, join(this.programs, 'node'));
    for (const program of ['npm', 'sh']) symlinkSync(which(program), join(this.programs, program));
    writeFileSync(join(this.folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true }));
    this.unpack(this.pack(options));
    this.linkDependencies();
  }

  /** Runs a program in the project's folder. Returns its exit status and everything that it printed. */
  run(program: string, ...args: string[]): { status: number | null; output: string } {
    const { status, stdout, stderr, error } = spawnSync(join(this.programs, program), args, {
      cwd: this.folder,
      encoding: 'utf8',
      env: { PATH: this.programs, HOME: this.folder, npm_config_offline: 'true', npm_config_update_notifier: 'false' },
    });
    if (error) throw error;
    return { status, output: stdout + stderr };
  }

  /** Runs npm's install scripts, as `npm install` does after it has unpacked the packages. */
  runInstallScripts(): { status: number | null; output: string } {
    return this.run('npm', 'rebuild', '--foreground-scripts', 'convgrad');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Packs what would be published, with the addon of this build as the prebuilt one. */
  private pack({ prebuilt }: { prebuilt: boolean }): string {
    const staging = join(this.folder, 'staging');
    for (const file of ['package.json', 'README.md', 'LICENSE', ...manifest.files]) {
      const source = join(root, file);
      if (file !== 'prebuilds' && existsSync(source)) cpSync(source, join(staging, file), { recursive: true });
    }
    if (prebuilt) {
      cpSync(join(root, 'build/Release/convgrad.node'), join(staging, 'prebuilds', platform, 'convgrad.node'));
    }
    execFileSync('npm', ['pack', '--ignore-scripts', '--silent'], { cwd: staging });
    return join(staging, 'convgrad-0.1.0.tgz');
  }

  private unpack(tarball: string): void {
    mkdirSync(this.convgrad, { recursive: true });
    execFileSync('tar', ['-xzf', tarball, '-C', this.convgrad, '--strip-components=1']);
  }

  /** Links the run-time dependencies to those of the repository, since a test must not need the network. */
  private linkDependencies(): void {
    const listed = execFileSync('npm', ['ls', '--omit=dev', '--depth=0', '--parseable'], {
      cwd: root,
      encoding: 'utf8',
    });
    for (const source of listed.trim().split('\n').slice(1)) {
      symlinkSync(source, join(this.folder, 'node_modules', basename(source)));
    }
  }
}
