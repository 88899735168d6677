import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { native } from '../../lib/native';

/** A method of NativeOps, written as the addon writes its own signatures. */
interface Declaration {
  parameters: [name: string, type: string][];
  returns: string;
}

/** Reads the interface NativeOps from the source with the compiler's own type checker. */
function declaredOps(): Map<string, Declaration> {
  const file = join(__dirname, '../../lib/native.ts');
  const program = ts.createProgram([file], { strict: true, noEmit: true, types: ['node'], skipLibCheck: true });
  const checker = program.getTypeChecker();
  const write = (type: ts.Type): string => {
    if (type.isUnion() && type.types.every((part) => part.isStringLiteral())) {
      return type.types
        .map((part) => `'${(part as ts.StringLiteralType).value}'`)
        .sort()
        .join(' | ');
    }
    return checker.typeToString(type, undefined, ts.TypeFormatFlags.NoTruncation);
  };
  const ops = new Map<string, Declaration>();
  ts.forEachChild(program.getSourceFile(file)!, (node) => {
    if (!ts.isInterfaceDeclaration(node) || node.name.text !== 'NativeOps') return;
    for (const member of node.members.filter(ts.isMethodSignature)) {
      ops.set(member.name.getText(), {
        parameters: member.parameters.map((p) => [p.name.getText(), write(checker.getTypeAtLocation(p))]),
        returns: write(checker.getTypeAtLocation(member.type!)),
      });
    }
  });
  return ops;
}

function operandType(declared: string): [name: string, type: string] {
  const name = declared.replace(/[?*!]+$/, '');
  const suffixes = declared.slice(name.length);
  if (suffixes.includes('*')) return [name, 'readonly Handle[]'];
  return [name, suffixes.includes('?') ? 'Handle | null' : 'Handle'];
}

function paramType(type: string): string {
  if (type === 'integer') return 'number';
  if (type === 'integer[]') return 'readonly number[]';
  return type.includes("'") ? type.split(' | ').sort().join(' | ') : type;
}

describe('lib/native.ts', () => {
  const declared = declaredOps();

  it('declares the ops of the addon, no more and no less', () => {
    expect([...declared.keys()].sort()).toEqual(native.signatures.map((op) => op.name).sort());
  });

  it.each(native.signatures)('declares $name as the addon has it', (op) => {
    const parameters = [
      ...op.operands.map(operandType),
      ...op.params.map(([field, type]) => [field, paramType(type)] as [string, string]),
    ];
    const returns =
      op.outputs.length === 0
        ? 'void'
        : op.outputs.length === 1
          ? 'Handle'
          : `[${op.outputs.map(() => 'Handle').join(', ')}]`;
    const found = declared.get(op.name)!;
    expect(found.parameters).toEqual(parameters);
    expect(found.returns.replace(/\w+: /g, '')).toBe(returns);
  });
});
