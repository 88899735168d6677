import { describe, expect, test } from 'vitest';
import { runCli, runCliJson } from '../support/cli';

describe('the command line', () => {
  test('without a command prints help to stderr and exits with 2', async () => {
    const { code, stdout, stderr } = await runCli([]);
    expect(stderr).toContain('Usage: convgrad');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('--help and --version print to stdout and exit with 0', async () => {
    const help = await runCli(['--help']);
    expect(help.code).toBe(0);
    expect(help.stdout).toContain('Exit codes: 0');
    const version = await runCli(['--version']);
    expect(version).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: '' });
  });

  test.each([
    [['doctr'], 'doctor'],
    [['doctor', '--jsn'], '--json'],
  ])('%j suggests %s, without a stack trace', async (args, suggestion) => {
    const { code, stdout, stderr } = await runCli(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^convgrad: unknown (command|option)/);
    expect(stderr).toContain(`Did you mean ${suggestion}?`);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('a wrong command line is JSON with --json', async () => {
    const { code, json, stderr } = await runCliJson<{ error: { code: string; message: string } }>(['doctor', '--jso']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
    expect(json.error).toEqual({ code: 'ERR_USAGE', message: expect.stringContaining('Did you mean --json?') });
  });
});
