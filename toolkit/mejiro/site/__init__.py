"""Write sites: a folder with a page that runs a bundle's models in a browser, and check them."""

from mejiro.site.description import SITE_NAME, Site, SiteModel, open_site
from mejiro.site.options import SiteOptions
from mejiro.site.write import write_site

__all__ = ["SITE_NAME", "Site", "SiteModel", "SiteOptions", "open_site", "write_site"]
