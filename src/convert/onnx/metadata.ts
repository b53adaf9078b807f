/** What an exported model says of itself in its metadata. */

/** Key of the text of config.json. */
export const CONFIG_KEY = "config.json";
