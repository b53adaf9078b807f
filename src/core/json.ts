/**
 * Types of parsed JSON. Objects that come out of files are Maps: `__proto__` is a legal key in a hostile file.
 */

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export type JsonObject = ReadonlyMap<string, JsonValue>;
