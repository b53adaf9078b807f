/** What exported models say of themselves in their metadata. */

/** Key of the text of the config.json that a model was made from. */
export const CONFIG_KEY = "config.json";
