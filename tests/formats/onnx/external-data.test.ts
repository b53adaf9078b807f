import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { assertUnchanged, readTensorRangeSync } from "../../../src/formats/byte-source.ts";
import { assertOpenedAt } from "../../../src/formats/onnx/external-location.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { errorOf } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { floats, modelBytes, type TensorParts, tensorBytes } from "./build.ts";
import { bytesIn } from "./open.ts";

const DATA = floats(1, 2, 3, 4);

/** A folder with `model.onnx`, whose tensor w [2] lies outside, and `w.bin` with four floats. */
function modelFolder(
  entries: TensorParts["external"],
  options: { readonly tensor?: TensorParts; readonly data?: string } = {},
): string {
  const folder = temporaryFolder();
  const tensor = tensorBytes({ dims: [2], ...options.tensor, external: entries ?? [] });
  writeFileSync(join(folder, "model.onnx"), modelBytes({ tensors: [tensor] }));
  writeFileSync(join(folder, options.data ?? "w.bin"), DATA);
  return folder;
}

const openIn = (folder: string) => openOnnx(join(folder, "model.onnx"));

async function codeWith(entries: TensorParts["external"], tensor?: TensorParts): Promise<string> {
  const folder = modelFolder(entries, tensor === undefined ? {} : { tensor });
  return (await errorOf(() => openIn(folder))).code;
}

describe("external data", () => {
  test("lies in a range of a file beside the model", () => {
    const model = openIn(
      modelFolder([
        ["location", "w.bin"],
        ["offset", "4"],
        ["length", "8"],
      ]),
    );
    expect(bytesIn(model, "w")).toEqual(floats(2, 3));
    expect(model.store.files.map(({ path }) => path.split("/").at(-1))).toEqual(["model.onnx", "w.bin"]);
    expect(model.store.warnings).toEqual([]);
  });

  test.each(["w.bin", "./w.bin", "sub/../w.bin", "sub//deep/../../w.bin"])("may be at %s", (location) => {
    const folder = modelFolder([
      ["location", location],
      ["length", "8"],
    ]);
    mkdirSync(join(folder, "sub/deep"), { recursive: true });
    expect(bytesIn(openIn(folder), "w")).toEqual(floats(1, 2));
  });

  test.each(["a..b.bin", "..data", "....", "%2e%2e", "sub/w.bin", "größe 😀.bin"])(
    "may have the name %s",
    (location) => {
      const folder = modelFolder([
        ["location", location],
        ["length", "8"],
      ]);
      mkdirSync(join(folder, "sub"));
      writeFileSync(join(folder, location), floats(7, 8));
      expect(bytesIn(openIn(folder), "w")).toEqual(floats(7, 8));
    },
  );

  test.each<[string, string]>([
    ["", "INVALID_EXTERNAL_DATA"],
    [".", "INVALID_EXTERNAL_DATA"],
    ["./", "INVALID_EXTERNAL_DATA"],
    ["sub/..", "INVALID_EXTERNAL_DATA"],
    ["w.bin/", "INVALID_EXTERNAL_DATA"],
    ["/", "PATH_ESCAPE"],
    ["/etc/hostname", "PATH_ESCAPE"],
    ["C:\\x", "PATH_ESCAPE"],
    ["C:x", "PATH_ESCAPE"],
    ["\\\\server\\x", "PATH_ESCAPE"],
    ["file:///etc/hostname", "PATH_ESCAPE"],
    ["~/x", "PATH_ESCAPE"],
    ["~root", "PATH_ESCAPE"],
    ["..", "PATH_ESCAPE"],
    ["../w.bin", "PATH_ESCAPE"],
    ["a/../../w.bin", "PATH_ESCAPE"],
    ["a/..\\..\\w.bin", "PATH_ESCAPE"],
    ["..\\w.bin", "PATH_ESCAPE"],
    ["%2e%2e/w.bin", "FILE_NOT_FOUND"],
    ["....//w.bin", "FILE_NOT_FOUND"],
    ["missing.bin", "FILE_NOT_FOUND"],
    ["w.bin/x", "FILE_NOT_FOUND"],
    ["w.bin\0.txt", "INVALID_EXTERNAL_DATA"],
    ["w\n.bin", "INVALID_EXTERNAL_DATA"],
    ["w\u001b[2J.bin", "INVALID_EXTERNAL_DATA"],
    ["a/".repeat(2_049), "INVALID_EXTERNAL_DATA"],
    ["folder", "NOT_A_REGULAR_FILE"],
    ["model.onnx", "INVALID_EXTERNAL_DATA"],
    ["fifo", "NOT_A_REGULAR_FILE"],
  ])("is refused at location %j", async (location, code) => {
    const folder = modelFolder([["location", location]]);
    mkdirSync(join(folder, "folder"));
    expect(spawnSync("mkfifo", [join(folder, "fifo")]).status).toBe(0);
    const error = await errorOf(() => openIn(folder));
    expect(error.code).toBe(code);
    expect(error.subject).toBe("w");
    expect(error.message).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  test("is refused without a location", async () => {
    expect(await codeWith([["offset", "0"]])).toBe("INVALID_EXTERNAL_DATA");
  });

  test("may be a link inside the model's folder", () => {
    const folder = modelFolder([
      ["location", "link.bin"],
      ["length", "8"],
    ]);
    symlinkSync("w.bin", join(folder, "link.bin"));
    expect(bytesIn(openIn(folder), "w")).toEqual(floats(1, 2));
  });

  test("may be a link into the hub's cache, where the model is one, too", () => {
    const repository = join(temporaryFolder(), "models--a--b");
    const snapshot = join(repository, "snapshots/abc/onnx");
    const blobs = join(repository, "blobs");
    for (const folder of [snapshot, blobs]) mkdirSync(folder, { recursive: true });
    const built = modelFolder(
      [
        ["location", "model.onnx_data"],
        ["length", "8"],
      ],
      { data: "model.onnx_data" },
    );
    for (const name of ["model.onnx", "model.onnx_data"]) {
      renameSync(join(built, name), join(blobs, `sha-of-${name}`));
      symlinkSync(`../../../blobs/sha-of-${name}`, join(snapshot, name));
    }
    expect(bytesIn(openIn(snapshot), "w")).toEqual(floats(1, 2));
  });

  test.each<[string, string, (folder: string, outside: string) => void]>([
    [
      "a link that leads out",
      "link.bin",
      (folder, outside) => symlinkSync(join(outside, "secret"), join(folder, "link.bin")),
    ],
    ["a folder that is a link out", "sub/secret", (folder, outside) => symlinkSync(outside, join(folder, "sub"))],
    ["a hard link", "hard.bin", (folder, outside) => linkSync(join(outside, "secret"), join(folder, "hard.bin"))],
  ])("is refused behind %s", async (_, location, make) => {
    const folder = modelFolder([["location", location]]);
    const outside = temporaryFolder();
    writeFileSync(join(outside, "secret"), DATA);
    make(folder, outside);
    const error = await errorOf(() => openIn(folder));
    expect([error.code, error.subject]).toEqual(["PATH_ESCAPE", "w"]);
  });

  test("may be a hard link where the caller allows it", () => {
    const folder = modelFolder([
      ["location", "w.bin"],
      ["length", "8"],
    ]);
    linkSync(join(folder, "w.bin"), join(temporaryFolder(), "copy"));
    const model = openOnnx(join(folder, "model.onnx"), { allowHardLinks: true });
    expect(bytesIn(model, "w")).toEqual(floats(1, 2));
  });

  test.runIf(process.platform === "linux")(
    "is refused when the path leads elsewhere by the time it is opened",
    async () => {
      const folder = modelFolder([]);
      const { openSync, closeSync } = await import("node:fs");
      const fd = openSync(join(folder, "w.bin"), "r");
      const file = { fd, identity: openIn(modelFolder([["location", "w.bin"]])).identity };
      expect((await errorOf(() => assertOpenedAt(file, join(folder, "model.onnx")))).code).toBe("INPUT_CHANGED");
      closeSync(fd);
    },
  );

  const outside = [
    "-1",
    "0x10",
    " 4 ",
    "0_0",
    "1e1",
    "+4",
    "4.0",
    "04",
    "",
    "9007199254740993",
    "18446744073709551616",
  ];
  test.each([...outside, "9", "17"])("is refused at offset %j", async (offset) => {
    expect(
      await codeWith([
        ["location", "w.bin"],
        ["offset", offset],
      ]),
    ).toBe("INVALID_EXTERNAL_DATA");
  });

  test.each([...outside, "4", "12", "1180591620717411303424"])("is refused with length %j", async (length) => {
    expect(
      await codeWith([
        ["location", "w.bin"],
        ["length", length],
      ]),
    ).toBe("INVALID_EXTERNAL_DATA");
  });

  test("without a length reaches as far as the shape says", async () => {
    const model = openIn(modelFolder([["location", "w.bin"]]));
    expect(bytesIn(model, "w")).toEqual(floats(1, 2));
    expect(model.store.warnings).toEqual([
      expect.stringMatching(/"w": external data: no length, and more bytes follow/),
    ]);
    expect(openIn(modelFolder([["location", "w.bin"]], { tensor: { dims: [4] } })).store.warnings).toEqual([]);
    expect(await codeWith([["location", "w.bin"]], { dims: [5] })).toBe("INVALID_EXTERNAL_DATA");
  });

  test.each(["location", "offset", "length", "checksum", "other"])("is refused with the key %s twice", async (key) => {
    const entries = [
      ["location", "w.bin"],
      ["length", "8"],
      [key, "w.bin"],
      [key, "w.bin"],
    ] as const;
    expect(await codeWith(entries)).toBe("INVALID_EXTERNAL_DATA");
  });

  test.each(["__proto__", "__class__", "basepath", "Location"])(
    "is read with a warning where it has the key %s",
    (key) => {
      const model = openIn(
        modelFolder([
          ["location", "w.bin"],
          ["length", "8"],
          [key, "../../etc"],
        ]),
      );
      expect(bytesIn(model, "w")).toEqual(floats(1, 2));
      expect(model.store.warnings).toEqual([expect.stringContaining(`key "${key}" ignored`)]);
    },
  );

  test("has its checksum compared with the whole file", async () => {
    const sha1 = createHash("sha1").update(DATA).digest("hex");
    const entries = (checksum: string) =>
      [
        ["location", "w.bin"],
        ["length", "8"],
        ["checksum", checksum],
      ] as const;
    for (const right of [sha1, sha1.toUpperCase()])
      expect(openIn(modelFolder(entries(right))).store.warnings).toEqual([]);
    expect(await codeWith(entries(sha1.replace(/^./, (digit) => (digit === "0" ? "1" : "0"))))).toBe(
      "INVALID_EXTERNAL_DATA",
    );
    expect(openIn(modelFolder(entries("md5:abc"))).store.warnings).toEqual([expect.stringMatching(/no SHA-1/)]);
  });

  test("may be shared by tensors", () => {
    const folder = modelFolder([]);
    const tensors = ["a", "b"].map((name) => tensorBytes({ name, dims: [4], external: [["location", "w.bin"]] }));
    writeFileSync(join(folder, "model.onnx"), modelBytes({ tensors }));
    const model = openIn(folder);
    for (const name of ["a", "b"]) expect(bytesIn(model, name)).toEqual(DATA);
  });

  test("is noticed to have changed", async () => {
    const folder = modelFolder([
      ["location", "w.bin"],
      ["offset", "8"],
      ["length", "8"],
    ]);
    const { store } = openIn(folder);
    const [tensor] = store.tensors.values();
    const [, file] = store.files;
    if (tensor === undefined || file === undefined) throw new Error("expected a tensor and its file");
    appendFileSync(join(folder, "w.bin"), "x");
    expect((await errorOf(() => assertUnchanged(file))).code).toBe("INPUT_CHANGED");
    truncateSync(join(folder, "w.bin"), 12);
    expect((await errorOf(() => readTensorRangeSync(tensor, 0, new Uint8Array(8)))).code).toBe("INPUT_CHANGED");
  });

  test("is opened once, however many tensors lie in it", () => {
    const folder = modelFolder([]);
    const tensors = Array.from({ length: 50_000 }, (_, index) =>
      tensorBytes({
        name: `w${index}`,
        external: [
          ["location", "w.bin"],
          ["offset", String((index % 4) * 4)],
          ["length", "4"],
        ],
      }),
    );
    writeFileSync(join(folder, "model.onnx"), modelBytes({ tensors }));
    const before = readdirSync("/proc/self/fd").length;
    const model = openIn(folder);
    expect(model.store.tensors.size).toBe(50_000);
    expect(model.dataFiles.size).toBe(1);
    for (const tensor of model.store.tensors.values()) readTensorRangeSync(tensor, 0, new Uint8Array(4));
    expect(readdirSync("/proc/self/fd").length - before).toBeLessThanOrEqual(1);
  });
});
