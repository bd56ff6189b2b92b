"""What two screens or more share, and the pieces a screen is made of."""

# Take names from these modules, not modules from here (`from pages.parts.letters import letters_html`): a module that
# Streamlit loads anew after an edit is found by its name, while this package would go on handing out the old one.
